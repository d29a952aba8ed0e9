"""``numamig rehearse``: a profile on a simulated twin of the machine, and what that lets expect of the real run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click

from numamig.cli.consent import Consent
from numamig.cli.interrupt import going_on
from numamig.cli.narrate import narrate, print_job, print_stayed
from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.replay import settings_option
from numamig.errors import UsageError
from numamig.text import plain
from numamig.units import format_duration

if TYPE_CHECKING:
    from numamig.backends.base import Backend
    from numamig.migrate.job import Job
    from numamig.migrate.plan import Plan
    from numamig.model.events import Event
    from numamig.replay.report import Report

__all__ = ["command"]

_ALWAYS = (
    "pages that are pinned, or busy with I/O for a moment, look like any others: here they move",
    "nobody else acts meanwhile: the processes neither touch nor map memory, nor does the kernel move any of it",
    "times are those of the cost model (docs/simulator.md), not measured on this machine",
)
"""What no twin of a real machine knows."""


@numamig_command("rehearse")
@click.argument("profile", metavar="PROFILE")
@settings_option
@click.option("--yes", is_flag=True, help="Accept warnings; a rehearsal always does, unless --strict is given.")
@click.option("--strict", is_flag=True, help="As a replay with --strict: nothing moves where there are warnings.")
def command(shared: Shared, profile: str, settings: tuple[str, ...], yes: bool, strict: bool, as_json: bool) -> int:
    """Run a profile on a simulated twin of the machine: predicted outcome, time and stall. Nothing moves.

    \b
    Examples:
      numamig rehearse night-shift.yaml
      numamig rehearse night-shift.yaml --strict --json
      numamig --machine m.numamig rehearse night-shift.yaml

    The twin has the nodes of this machine with the memory that is free on them now, and of each process that the
    profile means the pages where they are now. A simulated machine is copied. Jobs of a rehearsal are in no journal.
    Exit code: the one that the replay is expected to have.
    """
    from numamig.cli.replaying import exit_code_of, load_for
    from numamig.migrate.journal.locks import WriterLocks
    from numamig.migrate.journal.record import Recorder
    from numamig.migrate.journal.store import Journal
    from numamig.replay.run import run_profile

    if yes and strict:
        raise UsageError("--yes accepts warnings, --strict refuses them", hint="leave one of the two out")
    loaded, document, shared = load_for(profile, shared, settings)
    with _twin(shared) as twin, going_on() as wanted:
        seen = _Seen(Consent(dry_run=False, yes=True, strict=strict))
        began_ns = twin.clock.now_ns()
        recorder = Recorder(Journal(None), WriterLocks(None), twin)
        report = run_profile(
            twin,
            loaded,
            document,
            observe=seen.observe,
            wanted=wanted,
            recorder=recorder,
            approve=seen.approve,
            say=lambda words: narrate(plain(words)),
        )
        rehearsal = _Rehearsal(report, seen, twin.clock.now_ns() - began_ns, _notes(twin))
    if as_json:
        print_json(rehearsal.as_dict())
    else:
        rehearsal.print()
    for failure in report.failures:
        narrate(f"numamig: would not be moved: {plain(str(failure))}")
    if report.error is not None:
        narrate(f"numamig: would be stopped: {plain(str(report.error))}")
    return exit_code_of(report)


@contextmanager
def _twin(shared: Shared) -> Iterator[Backend]:
    """A machine that may be moved about on, and that nobody misses."""
    machine = shared.open()
    if not machine.capabilities.lasting:
        yield machine  # made for this command, and gone with it
    elif shared.machine is not None:
        from numamig.backends.snapshot.keptcopy import copied

        with copied(shared.machine) as copy:
            yield replace(shared, machine=str(copy)).open()
    else:
        from numamig.backends.snapshot.backend import SnapshotBackend

        yield SnapshotBackend(machine)


@dataclass(slots=True)
class _Seen:
    """What went on in the rehearsal."""

    consent: Consent
    jobs: dict[int, Job] = field(default_factory=dict)
    """By number."""
    plans: list[Plan] = field(default_factory=list)
    """Those that were approved."""

    def observe(self, job: Job, event: Event) -> None:
        self.jobs[job.number] = job

    def approve(self, plan: Plan) -> None:
        """
        :raises RefusedError: the replay would be refused too.
        """
        self.consent.demand(plan)
        self.plans.append(plan)

    @property
    def stall_ns(self) -> int | None:
        """The longest of all plans; None where none of them can tell."""
        return max(
            (plan.estimated_stall_ns for plan in self.plans if plan.estimated_stall_ns is not None), default=None
        )


@dataclass(frozen=True, slots=True)
class _Rehearsal:
    """What is to be expected."""

    report: Report
    seen: _Seen
    elapsed_ns: int
    """Of the twin's time, waits and pauses included."""
    notes: list[str]
    """What the twin takes for granted."""

    def as_dict(self) -> dict[str, object]:
        """The report as of a replay, and what a rehearsal adds to it."""
        stall_ns = self.seen.stall_ns
        return {
            "predicted": True,
            **self.report.as_dict(),
            "elapsed_seconds": round(self.elapsed_ns / 1e9, 9),
            "longest_stall_seconds": None if stall_ns is None else round(stall_ns / 1e9, 9),
            "ledgers": [
                {"job": number, "rows": [row.as_dict(job.plan) for row in job.ledger()]}
                for number, job in sorted(self.seen.jobs.items())
            ],
            "notes": self.notes,
        }

    def print(self) -> None:
        """The same, on stdout."""
        from numamig.cli.replaying import print_judged

        report = self.report
        what = f"{report.machine['machine']} · {report.machine['kernel']}"
        click.echo(f"{plain(report.title) or 'a profile'} · {plain(what)} · rehearsed on a simulated twin")
        for done in report.done:
            job = self.seen.jobs.get(done.number)  # none that was interrupted before its first step
            print_job(done.job, () if job is None else job.ledger())
            if job is not None:
                print_stayed(job.plan, job.ledger())
            if done.undoes is not None:
                click.echo(f"  {'undo':<14} of job {done.undoes}")
        print_judged(report, "then")
        stall = "" if self.seen.stall_ns is None else f"; longest stall {format_duration(self.seen.stall_ns)}"
        click.echo(f"predicted: {format_duration(self.elapsed_ns)} in all{stall}. Nothing was moved.")
        for note in self.notes:
            click.echo(f"  note: {note}")


def _notes(twin: Backend) -> list[str]:
    """What the twin does not know; nothing where it is a copy of a simulated machine, actors and workloads included."""
    from numamig.backends.snapshot.backend import SnapshotBackend

    if not isinstance(twin, SnapshotBackend):
        return []
    notes = list(_ALWAYS)
    if twin.capabilities.balancing:
        notes.append("NUMA balancing is on: pages that it has marked, or moves meanwhile, are taken for any others")
    for taken in twin.taken:
        who = f"{plain(taken.process.name)} ({taken.process.pid})"
        if taken.hidden_pages:
            notes.append(f"{who}: on which node {taken.hidden_pages:,} of {taken.pages:,} pages are")
        if taken.sharing is None and taken.pages:
            notes.append(f"{who}: which pages other processes map too; here none")
        elif taken.sharing is not None and taken.sharing.estimated:
            share = taken.sharing.shared_pages / taken.pages
            notes.append(
                f"{who}: which pages other processes map too, but for {taken.sharing.probed:,} of "
                f"{taken.sharing.folios:,} folios; by these an estimated {share:.0%} of all pages"
            )
    return notes
