"""``numamig move``: pages of one process to another node, in steps, with an account of every page."""

from __future__ import annotations

import click

from numamig.cli.consent import Consent, consent_options
from numamig.cli.options import Shared, pace_option
from numamig.cli.options import command as numamig_command
from numamig.cli.pacing import Pacing, pacing_options
from numamig.cli.running import recording, run_and_tell
from numamig.errors import UsageError
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.model.nodeset import parse_nodeset
from numamig.model.process import RegionKind
from numamig.units import parse_address

__all__ = ["command"]


@numamig_command("move")
@click.argument("pid", type=click.IntRange(min=1))
@click.option(
    "--from", "source", metavar="NODES", default="all", show_default=True, help="Nodes to empty: 0, 0,2-5, all, !1."
)
@click.option("--to", "target", metavar="NODE", required=True, help="Node to fill.")
@click.option(
    "--address", "addresses", metavar="0xSTART-0xEND", multiple=True, help="Only pages in this range; may be repeated."
)
@click.option("--kind", metavar="KINDS", help="Only regions of these kinds: anon, heap, stack, file, shmem, hugetlb.")
@click.option("--shared", "move_shared", is_flag=True, help="Move pages that other processes map too.")
@pacing_options()
@pace_option("max")
@consent_options("what would be moved")
def command(
    shared: Shared,
    pid: int,
    source: str,
    target: str,
    addresses: tuple[str, ...],
    kind: str | None,
    move_shared: bool,
    speed: float | None,
    pacing: Pacing,
    consent: Consent,
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
        within=_within(addresses),
        shared=move_shared,
    )
    limits = pacing.limits
    plan = plan_request(backend, pacing.of(request))
    if (code := consent.only_told(plan, as_json=as_json)) is not None:
        return code
    consent.demand(plan)
    with recording(backend) as recorder:
        return run_and_tell(backend, plan, recorder.begin(plan), as_json=as_json, limits=limits)


def _kinds(text: str | None) -> frozenset[RegionKind]:
    known = [kind.value for kind in RegionKind if kind is not RegionKind.SPECIAL]
    words = [] if text is None else [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise UsageError(f"there is no kind {word!r}", hint=f"kinds are {', '.join(known)}")
    return frozenset(RegionKind(word) for word in words)


def _within(addresses: tuple[str, ...]) -> list[tuple[int, int]] | None:
    """What any of the ranges has, ascending; those that overlap or touch are one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(map(parse_address, addresses)):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged or None
