"""A profile that is run or only planned by a command: which machine it is for, and what is said of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from numamig.cli.beside import run_with_ctrl_c
from numamig.cli.consent import Consent
from numamig.cli.interrupt import going_on
from numamig.cli.narrate import narrate, print_job, print_plan, progress_bar
from numamig.cli.options import Shared, print_json
from numamig.cli.running import exit_code, recording
from numamig.errors import ExitCode, FileError, RefusedError
from numamig.migrate.job import Job
from numamig.migrate.journal.record import JobRecord
from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.events import BatchMoved, Event, JobEnded, JobStarted
from numamig.model.outcome import Outcome
from numamig.replay.report import Report, verified_words
from numamig.replay.run import load_profile, plan_profile, run_profile
from numamig.replay.schema import Profile
from numamig.resources import find_profile, find_scenario
from numamig.text import plain
from numamig.units import format_bytes
from numamig.yamlfile import Document

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["exit_code_of", "load_for", "print_judged", "replay", "tell_plans"]


def replay(backend: Backend, loaded: Profile, document: Document, consent: Consent, *, as_json: bool) -> ExitCode:
    """Run a profile, and tell what it came to on stdout."""
    asked = _Asked(consent)
    with going_on() as wanted, recording(backend) as recorder, closing(_Narrator()) as narrator:
        report = run_profile(
            backend,
            loaded,
            document,
            narrator,
            lambda: wanted() and not asked.declined,
            recorder,
            asked,
            narrator.say,
            None if backend.capabilities.virtual_time else _Beside(backend, wanted, narrator),
        )
    if as_json:
        print_json(report.as_dict())
    else:
        _print(report)
    for failure in report.failures:
        narrate(f"numamig: not moved: {plain(str(failure))}")
    if report.error is not None:
        narrate(f"numamig: stopped: {plain(str(report.error))}")
    return exit_code_of(report)


def exit_code_of(report: Report) -> ExitCode:
    """What a run means for the shell: why nothing was done, where that has one reason; else whether all was."""
    if report.interrupted:
        return ExitCode.INTERRUPTED
    if report.passed:
        return ExitCode.DONE
    errors = report.failures if report.error is None else [*report.failures, report.error]
    codes = {error.exit_code for error in errors} | {exit_code(job) for job in report.jobs}
    if codes == {ExitCode.REFUSED, ExitCode.TARGET_GONE}:
        return ExitCode.REFUSED  # of what is still there
    return codes.pop() if len(codes) == 1 and codes != {ExitCode.DONE} else ExitCode.PARTIAL


def load_for(profile: str, shared: Shared, settings: Iterable[str] = ()) -> tuple[Profile, Document, Shared]:
    """A profile by file or name, and which machine it is for where the command line does not say otherwise.

    :param settings: values of variables: "target=2"
    :raises FileError: it cannot be read, or is wrong.
    :raises UsageError: a setting is for no variable.
    """
    path = find_profile(profile)
    loaded, document = load_profile(str(path), settings)
    name = shared.backend or ("simulator" if shared.machine else loaded.backend)
    scenario = shared.scenario
    if scenario is None and loaded.scenario is not None and name != "linux":
        scenario = str(_scenario_of(loaded.scenario, path.parent, document))
    return loaded, document, replace(shared, backend=name, scenario=scenario)


def _scenario_of(name: str, beside: Path, document: Document) -> Path:
    try:
        found = find_scenario(name, beside=beside)
        if os.path.exists(found):
            return found
        reason = f"there is no file {plain(str(found))}, neither here nor beside this profile"
    except FileError as error:
        reason = error.faults[0].message
    except ValueError:  # a NUL: no file is called that
        reason = "no file can be called that"
    raise FileError(document.path, [document.fault(("scenario",), f"scenario {plain(name)[:60]!r}: {reason}")])


def tell_plans(backend: Backend, profile: Profile, document: Document, *, strict: bool, as_json: bool) -> ExitCode:
    """What a profile would do, on stdout."""
    left_out: list[str] = []
    plans = plan_profile(backend, profile, document, lambda error: left_out.append(plain(str(error))))
    if as_json:
        print_json({"plans": [plan.as_dict() for plan in plans]})
    else:
        for plan in plans:
            print_plan(plan)
    for reason in left_out:
        narrate(f"numamig: left out: {reason}")
    stopped = any(plan.errors or (strict and plan.warnings) for plan in plans)
    return ExitCode.REFUSED if stopped else ExitCode.DONE


class _Asked:
    """Approves each job in its turn, as was said in advance or as is answered on the terminal."""

    def __init__(self, consent: Consent) -> None:
        self._consent = consent
        self.declined = False
        """The answer was no, and nothing further is wanted."""

    def __call__(self, plan: Plan) -> None:
        """
        :raises RefusedError: it is not to be carried out.
        """
        try:
            self._consent.demand(plan)
        except click.Abort as error:
            self.declined = True  # what earlier jobs did is to be told: so this is not raised
            raise RefusedError("the answer was no", pid=plan.request.pid) from error


class _Narrator:
    """Says on stderr what goes on: each job when it begins and when it has ended, and its progress on a terminal."""

    def __init__(self) -> None:
        self._bar: ExitStack | None = None
        self._show: Callable[[JobSnapshot], None] = lambda _job: None

    def __call__(self, job: Job, event: Event) -> None:
        if isinstance(event, JobStarted):
            self.begin(job)
        elif isinstance(event, BatchMoved):
            self.show(job.snapshot())
        elif isinstance(event, JobEnded):
            self.end(job)

    def begin(self, job: Job) -> None:
        plan = job.plan
        name = plain(plan.process.name)
        narrate(f"job {job.number}: {name} ({plan.process.pid}), {plan.pages:,} pages {plan.request.to.words}")
        self._bar = ExitStack()
        self._show = self._bar.enter_context(progress_bar(plan))

    def show(self, job: JobSnapshot) -> None:
        """How far it has come."""
        self._show(job)

    def end(self, job: Job) -> None:
        self.close()
        done = job.snapshot()
        if done.state.ended:
            narrate(f"job {job.number}: {done.reason}, {done.outcomes[Outcome.MOVED]:,} of {done.chosen:,} pages moved")

    def say(self, words: str) -> None:
        """What goes on besides."""
        self.close()
        narrate(plain(words))

    def close(self) -> None:
        """Leave the line of the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar, self._show = None, lambda _job: None


class _Beside:
    """Runs jobs beside the main thread, where a call may hang in the kernel."""

    def __init__(self, backend: Backend, wanted: Callable[[], bool], narrator: _Narrator) -> None:
        self._backend = backend
        self._wanted = wanted
        self._narrator = narrator

    def __call__(self, job: Job, record: JobRecord) -> None:
        self._narrator.begin(job)
        run_with_ctrl_c(job, self._backend, record, self._wanted, self._narrator.show)
        self._narrator.end(job)


def _print(report: Report) -> None:
    simulated = " (simulated)" if report.machine["backend"] == "simulator" else ""
    click.echo(f"{plain(report.title)} · {report.machine['machine']}{simulated} · {report.machine['kernel']}")
    for done in report.done:
        print_job(done.job)
        if done.verified is not None:
            click.echo(f"  {'verified':<14} {verified_words(done.verified)}")
        if done.undoes is not None:
            click.echo(f"  {'undo':<14} of job {done.undoes}")
    print_judged(report, "now")


def print_judged(report: Report, when: str) -> None:
    """What became of each expectation, and where the memory of each process is ``when`` all is done."""
    for verdict in verdicts(report.steps):
        sign = "holds " if verdict["holds"] else "FAILED"
        click.echo(f"  {sign} {verdict['what']} {verdict['expected']}: {verdict['actual']}")
    for pid, where in sorted(report.placement.items()):
        placed = ", ".join(
            f"{format_bytes(count)} on {f'node {node}' if node >= 0 else 'a node not known'}"
            for node, count in sorted(where.bytes_by_node.items())
        )
        click.echo(f"  pid {pid} {when}: {placed or 'nothing present'}")


def verdicts(said: object) -> Iterator[Mapping[str, object]]:
    """Of all expectations, also of those inside of blocks, in the order in which they were judged."""
    if isinstance(said, list):
        for each in said:
            yield from verdicts(each)
    elif isinstance(said, dict):
        yield from said.get("expect") or ()
        for block in ("for_each", "repeat", "include", "steps"):
            yield from verdicts(said.get(block))
