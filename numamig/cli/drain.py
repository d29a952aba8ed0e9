"""``numamig drain``: a node is emptied; who owns its memory, what moved, what remains and why."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from numamig.cli.consent import Consent, consent_options
from numamig.cli.interrupt import going_on
from numamig.cli.options import Shared, pace_option, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.pacing import Pacing, pacing_options
from numamig.errors import ExitCode, RefusedError, TargetGone, UsageError
from numamig.model.nodeset import format_nodeset, parse_nodeset
from numamig.model.process import Process

if TYPE_CHECKING:
    from numamig.backends.base import Backend
    from numamig.cli.draining import Drained
    from numamig.migrate.drain.holders import Survey
    from numamig.migrate.drain.prospect import Prospect, Refused
    from numamig.migrate.plan import Plan
    from numamig.migrate.request import Request

__all__ = ["command"]


@numamig_command("drain")
@click.argument("nodes", metavar="NODES")
@click.option("--to", metavar="NODES", help="Nodes to fill: 0, 0,2-5, !1.  [default: the nearest that have room]")
@click.option("--pid", "pids", type=click.IntRange(min=1), multiple=True, help="Only this process; may be repeated.")
@click.option("--name", "names", multiple=True, help="Only processes of this name; may be repeated.")
@click.option("--user", "users", multiple=True, help="Only processes of this user; may be repeated.")
@click.option("--shared", "move_shared", is_flag=True, help="Move pages that several processes map, once.")
@pacing_options()
@pace_option("max")
@consent_options("who has memory there and what would be moved")
def command(
    shared: Shared,
    nodes: str,
    to: str | None,
    pids: tuple[int, ...],
    names: tuple[str, ...],
    users: tuple[str, ...],
    move_shared: bool,
    speed: float | None,
    pacing: Pacing,
    consent: Consent,
    as_json: bool,
) -> int:
    """Empty NODES: move what processes have there to other nodes, the largest first, and tell what remains and why.

    \b
    Examples:
      numamig drain 2 --dry-run
      numamig drain 2 --to 0,1
      numamig drain 2 --to 0,1 --shared --rate 200MiB/s
      numamig drain 2-3 --user postgres --strict

    Each process is a job of its own, that numamig undo takes back. Whole processes go to the node with the most room;
    one that fits on none is parted. Page cache that nobody maps, and the kernel's own memory, stay where they are.
    Exit code: 0 no process has memory there any more; 1 some remains, or cannot be looked at; 2 usage; 3 nothing could
    be moved; 4 no such process.
    """
    from numamig.cli import drained
    from numamig.cli.draining import Drained, carry_out
    from numamig.cli.running import recording
    from numamig.migrate.destination import Node
    from numamig.migrate.drain.holders import survey
    from numamig.migrate.drain.prospect import look_ahead
    from numamig.migrate.request import Request

    backend = shared.paced(speed).open()
    available = backend.topology().memory_nodes
    emptied = parse_nodeset(nodes, available)
    filled = None if to is None else parse_nodeset(to, available)
    if filled is not None and (both := set(emptied) & set(filled)):
        raise UsageError(f"node {format_nodeset(both)} is to be emptied and filled", hint="leave it out of --to")
    if move_shared and not backend.capabilities.move_shared:
        raise RefusedError(
            "no right to move pages that other processes share",
            hint="it takes CAP_SYS_NICE (run as root), or leave the shared ones",
        )
    elsewhere = next((node for node in available if node not in emptied), emptied[0])

    def request_for(process: Process) -> Request:
        request = Request(pid=process.pid, to=Node(elsewhere), sources=emptied, shared=move_shared)
        return pacing.of(request)

    limits = pacing.limits
    picked = _Picked(backend, pids, names, users)
    before = look_ahead(backend, emptied, filled, picked.processes(), request_for, everybody=picked.everybody)
    if consent.dry_run:
        return _only_told(before, consent, as_json=as_json)
    drained.introduce(before)
    _demand(before, consent)
    if before.jobs:
        approve = _approve(consent)
        with going_on() as wanted, recording(backend) as recorder:
            shares = [share for share, _ in before.jobs]
            done = carry_out(backend, recorder, shares, request_for, wanted, limits, approve)
    else:
        done = Drained((), interrupted=False, error=None)
    after = survey(backend, picked.processes(gone=True), request_for)
    report = drained.Report(backend, before, done, after, everybody=picked.everybody)
    if as_json:
        print_json(report.as_dict())
    else:
        report.print()
    report.narrate()
    return _exit_code(before, done, after)


class _Picked:
    """The processes that are meant."""

    def __init__(self, backend: Backend, pids: tuple[int, ...], names: tuple[str, ...], users: tuple[str, ...]) -> None:
        self._backend = backend
        self._pids, self._names, self._users = pids, names, users
        self._me = None if backend.capabilities.simulated else os.getpid()

    @property
    def everybody(self) -> bool:
        return not (self._pids or self._names or self._users)

    def processes(self, *, gone: bool = False) -> list[Process]:
        """
        :param gone: it does not matter if there is none any more
        :raises TargetGone: there is none, where some were named.
        """
        from numamig.migrate.drain.holders import candidates

        found = list(candidates(self._backend, self._me, self._fits))
        if found or gone or self.everybody:
            missing = [] if gone else [pid for pid in self._pids if pid not in {each.pid for each in found}]
            if not missing:
                return found
            raise TargetGone(f"there is no process {missing[0]} that is meant", pid=missing[0])
        said = [f"pid {pid}" for pid in self._pids] + [f"name {name}" for name in self._names]
        raise TargetGone(f"no process has {', '.join([*said, *(f'user {user}' for user in self._users)])}")

    def _fits(self, process: Process) -> bool:
        return (
            (not self._pids or process.pid in self._pids)
            and (not self._names or process.name in self._names)
            and (not self._users or process.user in self._users)
        )


def _only_told(before: Prospect, consent: Consent, *, as_json: bool) -> ExitCode:
    from numamig.cli import drained

    if as_json:
        print_json(drained.prospect_as_dict(before))
    else:
        drained.print_prospect(before)
    stopped = (_refusals(before) and not before.jobs) or (consent.strict and before.warnings)
    return ExitCode.REFUSED if stopped else ExitCode.DONE


def _refusals(before: Prospect) -> list[Refused]:
    return [refused for refused in before.refused if not refused.left_out]


def _demand(before: Prospect, consent: Consent) -> None:
    """Ask where something speaks against it and somebody is there to answer.

    :raises RefusedError: there is a warning where none is accepted.
    :raises Abort: the answer was no.
    """
    if not before.jobs or not before.warnings:
        return
    if consent.strict:
        process, first = before.warnings[0]
        more = len(before.warnings) - 1
        others = f", and {more} more warning{'s' * (more > 1)}" if more else ""
        who = "" if process is None else f"pid {process.pid}: "
        raise RefusedError(f"--strict: {who}{first.check}: {first.reason}{others}", hint=first.remedy or None)
    if not consent.yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("Go on?", default=True, abort=True, err=True)


def _approve(consent: Consent) -> Callable[[Plan], None]:
    """Warnings were accepted for all jobs together; under --strict none may turn up later either."""

    def approve(plan: Plan) -> None:
        if consent.strict and plan.warnings:
            first = plan.warnings[0]
            raise RefusedError(f"--strict: {first.check}: {first.reason}", hint=first.remedy or None)

    return approve


def _exit_code(before: Prospect, done: Drained, after: Survey) -> ExitCode:
    if done.interrupted:
        return ExitCode.INTERRUPTED
    if after.empty and done.error is None:
        return ExitCode.DONE
    from numamig.model.outcome import Outcome

    moved = any(ran.job is not None and ran.job.outcomes[Outcome.MOVED] for ran in done.ran)
    refused = bool(_refusals(before) or before.seen.locked or done.error or any(ran.refused for ran in done.ran))
    tried = any(ran.job is not None for ran in done.ran)
    return ExitCode.REFUSED if refused and not moved and not tried else ExitCode.PARTIAL
