"""``numamig replay``: a profile, headless."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from numamig.cli.interrupt import going_on
from numamig.cli.narrate import narrate, narrate_findings, print_job
from numamig.cli.options import Shared, pace_option, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.running import recording
from numamig.errors import ExitCode
from numamig.migrate.job import Job
from numamig.model.events import BatchMoved, Event, JobStarted
from numamig.replay.run import Report, load_profile, run_profile
from numamig.replay.schema import Profile
from numamig.resources import find_profile, find_scenario
from numamig.text import plain
from numamig.units import format_bytes
from numamig.yamlfile import Document

__all__ = ["command"]


@numamig_command("replay")
@click.argument("profile", metavar="PROFILE")
@pace_option("max")
def command(shared: Shared, profile: str, speed: float | None, as_json: bool) -> int:
    """Run a YAML profile: a file, or the name of a shipped one.

    \b
    Examples:
      numamig replay pull-database-to-its-cpus
      numamig replay night-shift.yaml --json

    The profile says which machine it is for; --backend, --scenario and --machine say otherwise.
    Exit code: 0 done, and what it expects holds; 1 an expectation failed, or, where it has none, pages remain.
    """
    loaded, document, shared = load_for(profile, shared)
    backend = shared.paced(speed).open()
    with going_on() as wanted, recording(backend) as recorder:
        report = run_profile(backend, loaded, document, _Narrator(), wanted, recorder)
    if as_json:
        print_json(report.as_dict())
    else:
        _print(report)
    if report.error is not None:
        narrate(f"numamig: stopped: {report.error}")
    if report.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if report.passed else ExitCode.PARTIAL


def load_for(profile: str, shared: Shared) -> tuple[Profile, Document, Shared]:
    """A profile by file or name, and which machine it is for where the command line does not say otherwise.

    :raises FileError: it cannot be read, or is wrong.
    """
    path = find_profile(profile)
    loaded, document = load_profile(str(path))
    name = shared.backend or ("simulator" if shared.machine else loaded.backend)
    scenario = shared.scenario
    if scenario is None and loaded.scenario is not None and name != "linux":
        scenario = str(find_scenario(loaded.scenario, beside=path.parent))
    return loaded, document, replace(shared, backend=name, scenario=scenario)


class _Narrator:
    """Says on stderr what goes on: one line a job, and its progress on a terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def __call__(self, job: Job, event: Event) -> None:
        name = plain(job.plan.process.name)
        if isinstance(event, JobStarted):
            narrate_findings(job.plan.findings)
            narrate(
                f"job {job.number}: {name} ({event.pid}), {event.planned_pages:,} pages to node {job.request.target}"
            )
        elif isinstance(event, BatchMoved) and self._live:
            share = 100 * job.snapshot().progress
            narrate(f"\r  {share:3.0f}%", newline=False)
            if share >= 100:
                narrate("\r      \r", newline=False)


def _print(report: Report) -> None:
    simulated = " (simulated)" if report.machine["backend"] == "simulator" else ""
    click.echo(f"{plain(report.title)} · {report.machine['machine']}{simulated} · {report.machine['kernel']}")
    for job in report.jobs:
        print_job(job)
    for step in report.steps:
        judged = step.get("expect")
        for verdict in judged if isinstance(judged, list) else []:
            sign = "holds " if verdict["holds"] else "FAILED"
            click.echo(f"  {sign} {verdict['what']} {verdict['expected']}: {verdict['actual']}")
    for pid, where in sorted(report.placement.items()):
        placed = ", ".join(
            f"{format_bytes(count)} on {f'node {node}' if node >= 0 else 'a node not known'}"
            for node, count in sorted(where.bytes_by_node.items())
        )
        click.echo(f"  pid {pid} now: {placed or 'nothing present'}")
