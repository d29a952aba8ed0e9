"""``numamig move``: pages of one process to another node, in steps, with an account of every page."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from numamig.cli.narrate import introduce, print_plan
from numamig.cli.options import Shared, pace_option, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.running import recording, run_and_tell
from numamig.errors import ExitCode, RefusedError, UsageError
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.request import DEFAULT_BATCH_PAGES, MOST_CALLS, Request, Retry, RetryMode
from numamig.model.nodeset import parse_nodeset
from numamig.model.process import RegionKind
from numamig.units import parse_address, parse_duration, parse_rate, parse_size

if TYPE_CHECKING:
    pass

__all__ = ["command"]


@numamig_command("move")
@click.argument("pid", type=click.IntRange(min=1))
@click.option(
    "--from", "source", metavar="NODES", default="all", show_default=True, help="Nodes to empty: 0, 0,2-5, all, !1."
)
@click.option("--to", "target", metavar="NODE", required=True, help="Node to fill.")
@click.option("--address", metavar="0xSTART-0xEND", help="Only pages in this range.")
@click.option("--kind", metavar="KINDS", help="Only regions of these kinds: anon, heap, stack, file, shmem, hugetlb.")
@click.option("--shared", "move_shared", is_flag=True, help="Move pages that other processes map too.")
@click.option(
    "--pages", type=click.IntRange(1, 1 << 20), default=DEFAULT_BATCH_PAGES, show_default=True, help="Pages in a call."
)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Calls at the same time.")
@click.option("--budget", metavar="TIME", help="Steer the size of steps so that a call takes about this long: 5ms.")
@click.option("--rate", metavar="RATE", help="Move at most this much: 200MiB/s.")
@click.option(
    "--calls", metavar="N", default=str(MOST_CALLS), show_default=True, help="Calls a second, at most; none: no limit."
)
@click.option("--reserve", metavar="SIZE", help="Keep this much of the target free.  [default: its watermark and 5%]")
@click.option(
    "--retry",
    type=click.Choice([mode.value for mode in RetryMode]),
    default="bounded",
    show_default=True,
    help="Busy pages.",
)
@click.option("--passes", type=click.IntRange(1, 100), default=3, show_default=True, help="Passes of a bounded retry.")
@click.option("--deadline", metavar="TIME", help="When to give up with --retry until: 30s.  [default: 60s]")
@click.option("--critical", is_flag=True, help="Also init, your own shell, real-time threads, guests, devices.")
@pace_option("max")
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and stop.")
@click.option("--yes", is_flag=True, help="Accept warnings without asking.")
@click.option("--strict", is_flag=True, help="Refuse to move where there are warnings.")
def command(
    shared: Shared,
    pid: int,
    source: str,
    target: str,
    address: str | None,
    kind: str | None,
    move_shared: bool,
    pages: int,
    threads: int,
    budget: str | None,
    rate: str | None,
    calls: str,
    reserve: str | None,
    retry: str,
    passes: int,
    deadline: str | None,
    critical: bool,
    speed: float | None,
    dry_run: bool,
    yes: bool,
    strict: bool,
    as_json: bool,
) -> int:
    """Move pages of process PID to another node.

    \b
    Examples:
      numamig move 4711 --from 0 --to 1
      numamig move 4711 --to 2 --kind anon,shmem --rate 200MiB/s
      numamig move 4711 --from 0 --to 1 --budget 5ms --dry-run
      numamig move 4711 --to 1 --retry until --deadline 30s --strict

    Errors that are found before anything moves are never passed; warnings are asked about on a terminal.
    Exit code: 0 every chosen page is there, 1 some remain, 2 usage, 3 refused, 4 the process is gone.
    """
    if yes and strict:
        raise UsageError("--yes accepts warnings, --strict refuses them", hint="leave one of the two out")
    backend = shared.paced(speed).open()
    available = backend.topology().memory_nodes
    targets = parse_nodeset(target, available)
    if len(targets) != 1:
        raise UsageError(f"--to {target} names {len(targets)} nodes", hint="name one node")
    request = Request(
        pid=pid,
        target=targets[0],
        sources=None if source == "all" else parse_nodeset(source, available),
        kinds=_kinds(kind),
        within=None if address is None else [parse_address(address)],
        shared=move_shared,
        batch_pages=pages,
        budget_ns=None if budget is None else parse_duration(budget),
        rate=None if rate is None else parse_rate(rate),
        retry=_retry(RetryMode(retry), passes, deadline),
        most_calls=_calls(calls),
        reserve_bytes=None if reserve is None else parse_size(reserve),
        critical=critical,
        threads=threads,
    )
    plan = plan_request(backend, request)
    if dry_run:
        if as_json:
            print_json(plan.as_dict())
        else:
            print_plan(plan)
        return ExitCode.REFUSED if plan.errors or (strict and plan.warnings) else ExitCode.DONE
    introduce(plan)
    plan.demand_possible()
    if strict:
        _demand_no_warning(plan)
    if plan.warnings and not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("Go on?", default=True, abort=True, err=True)
    with recording(backend) as recorder:
        return run_and_tell(backend, plan, recorder.begin(plan), as_json=as_json)


def _kinds(text: str | None) -> frozenset[RegionKind]:
    known = [kind.value for kind in RegionKind if kind is not RegionKind.SPECIAL]
    words = [] if text is None else [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise UsageError(f"there is no kind {word!r}", hint=f"kinds are {', '.join(known)}")
    return frozenset(RegionKind(word) for word in words)


def _calls(text: str) -> int | None:
    """Calls a second; None for no limit."""
    if text.strip().lower() in ("none", "0"):
        return None
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{text!r} is no number of calls", hint="calls a second, like 200, or none for no limit")
    return int(text)


def _retry(mode: RetryMode, passes: int, deadline: str | None) -> Retry:
    if deadline is None:
        return Retry(mode, passes)
    if mode is not RetryMode.UNTIL:
        raise UsageError(f"--deadline is for --retry until, not for --retry {mode.value}")
    return Retry(mode, passes, deadline_ns=parse_duration(deadline))


def _demand_no_warning(plan: Plan) -> None:
    """
    :raises RefusedError: there is one, and who knows how many more.
    """
    if plan.warnings:
        first, others = plan.warnings[0], len(plan.warnings) - 1
        more = f", and {others} more warning{'s' * (others > 1)}" if others else ""
        raise RefusedError(
            f"--strict: {first.check}: {first.reason}{more}", hint=first.remedy or None, pid=plan.request.pid
        )
