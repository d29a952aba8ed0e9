"""``numamig watch``: whether the pages of a job stay where it put them, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from numamig.cli.interrupt import going_on
from numamig.cli.narrate import finding_line
from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.errors import ExitCode
from numamig.units import format_bytes, format_percent, parse_duration

if TYPE_CHECKING:
    from numamig.backends.base import Backend
    from numamig.model.process import Process
    from numamig.observe.drift import Drift, Watch
    from numamig.observe.verify import Expected, Verified

__all__ = ["command"]


@numamig_command("watch")
@click.argument("job", type=click.IntRange(min=1))
@click.option("--for", "duration", metavar="TIME", help="Keep watching for this long: 60s.  [default: one look]")
@click.option("--every", metavar="TIME", default="5s", show_default=True, help="Between two looks.")
def command(shared: Shared, job: int, duration: str | None, every: str, as_json: bool) -> int:
    """Count where the pages of JOB are now; and keep watching, if asked to.

    \b
    Examples:
      numamig watch 17
      numamig watch 17 --for 10m --every 30s

    Counted once; after that a few thousand pages are asked for in each look, the same ones, and what moved them is
    looked for: NUMA balancing, reclaim, another tool. Exit code: 0 all present pages are in place, 1 some are not.
    """
    from numamig.cli.running import recording
    from numamig.migrate.moved import where_moved
    from numamig.migrate.undo import demand_same_memory
    from numamig.observe.causes import Movements
    from numamig.observe.drift import Watch

    backend = shared.open()
    lasts_ns, every_ns = 0 if duration is None else parse_duration(duration), parse_duration(every)
    with recording(backend) as recorder:
        entry = recorder.journal.job(job)
        process = demand_same_memory(backend, entry)
        expected = where_moved(recorder.journal, entry)
    counted = _count(backend, process, expected)
    if as_json:
        if not lasts_ns:
            print_json(_counted_as_dict(job, counted))
    else:
        _print_counted(counted)
    in_place = counted.in_place == counted.present
    if lasts_ns:
        since = None if entry.counters is None else Movements(**entry.counters)
        watch = Watch(backend, process, expected, since=since)
        looks = _watch(backend, watch, lasts_ns, every_ns, show=not as_json)
        if as_json:
            print_json({**_counted_as_dict(job, counted), "looks": [_as_dict(drift) for drift in looks]})
        in_place = in_place and all(drift.in_place == 1.0 for drift in looks)
        if looks and looks[-1].ended:
            return ExitCode.TARGET_GONE
    return ExitCode.DONE if in_place else ExitCode.PARTIAL


def _count(backend: Backend, process: Process, expected: Expected) -> Verified:
    from numamig.observe.verify import verify

    hold = backend.hold(process)
    try:
        return verify(backend, hold, expected)
    finally:
        hold.close()


def _watch(backend: Backend, watch: Watch, lasts_ns: int, every_ns: int, *, show: bool) -> list[Drift]:
    from numamig.migrate.run import nap

    clock = backend.clock
    until = clock.now_ns() + lasts_ns
    looks: list[Drift] = []
    try:
        with going_on() as wanted:
            while wanted() and clock.now_ns() < until:
                nap(clock, min(every_ns, until - clock.now_ns()), wanted)
                looks.append(watch.look())
                if show:
                    _print_look(looks[-1])
                if looks[-1].ended:
                    break
    finally:
        watch.close()
    return looks


def _node(node: int) -> str:
    return "a node not known" if node < 0 else f"node {node}"


def _print_counted(counted: Verified) -> None:
    page = counted.page_size
    click.echo(
        f"{counted.in_place:,} of {counted.present:,} pages ({format_bytes(counted.in_place_bytes)}) are where the job"
        f" put them, {format_percent(counted.in_place, counted.present)}"
    )
    for node, pages in counted.elsewhere.items():
        click.echo(f"  {pages:>12,} pages {format_bytes(pages * page):>8} on {_node(node)}")
    if counted.absent:
        click.echo(f"  {counted.absent:>12,} pages {format_bytes(counted.absent * page):>8} not present any more")


def _print_look(drift: Drift) -> None:
    error = f" ± {drift.error:.1%}" if drift.error else ""
    where = ", ".join(f"{pages:,} on {_node(node)}" for node, pages in drift.elsewhere.items() if pages)
    click.echo(f"{drift.in_place:.1%}{error} in place" + (f"; {where}" if where else ""))
    if where or drift.ended:
        for cause in drift.causes:
            click.echo(f"  {finding_line(cause)}")


def _counted_as_dict(job: int, counted: Verified) -> dict[str, object]:
    return {
        "job": job,
        "expected_pages": counted.expected,
        "in_place_pages": counted.in_place,
        "elsewhere": {"unknown" if n < 0 else str(n): pages for n, pages in counted.elsewhere.items()},
        "absent_pages": counted.absent,
        "page_size": counted.page_size,
    }


def _as_dict(drift: Drift) -> dict[str, object]:
    return {
        "taken_ns": drift.taken_ns,
        "in_place": round(drift.in_place, 6),
        "error": round(drift.error, 6),
        "pages": drift.pages,
        "elsewhere": {"unknown" if n < 0 else str(n): pages for n, pages in drift.elsewhere.items()},
        "absent": drift.absent,
        "causes": [finding.as_dict() for finding in drift.causes],
        "ended": drift.ended,
    }
