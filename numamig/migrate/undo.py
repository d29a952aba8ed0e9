"""Taking a job back: its pages go where they came from, in steps and with the same account as any other job.

What to take back is read from the journal, batch by batch and the last one first. What had a result is known; of a
batch without one (its process was killed in the middle) any part may have moved, and the pages themselves say which
did. Pages are chosen as they are now: who has moved them since, or freed them, is seen and accounted for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from numamig.backends.base import Backend, TellsProcessFacts
from numamig.errors import RefusedError, TargetGone, UsageError
from numamig.migrate.destination import Node
from numamig.migrate.journal.packing import unpack_batch
from numamig.migrate.journal.record import image_of
from numamig.migrate.journal.store import JobEntry, Journal
from numamig.migrate.origins import moved_by
from numamig.migrate.plan import Plan
from numamig.migrate.preflight import check
from numamig.migrate.preflight.room import memory_room
from numamig.migrate.preflight.standing import cpuset
from numamig.migrate.request import Request
from numamig.migrate.reserve import reserve_on
from numamig.migrate.undo_chooser import Undoing, choose_to_undo
from numamig.model.finding import Finding, Severity
from numamig.model.outcome import Outcome
from numamig.model.process import MemoryImage, Process, Region, RegionKind

__all__ = ["Undoing", "can_be_taken_back", "choose_to_undo", "demand_same_memory", "plan_undo"]

_FINAL = (Outcome.MOVED, Outcome.ALREADY_THERE, Outcome.ABSENT, Outcome.UNMAPPED, Outcome.GONE)
_LEFT = tuple(outcome for outcome in Outcome if outcome not in _FINAL)
"""Of pages that an undo did not put back, and that still can be."""


def demand_same_memory(backend: Backend, job: JobEntry) -> Process:
    """The process of a job, if it is still that one and still has that memory.

    :raises RefusedError: another boot, another process, or another program in it.
    :raises TargetGone: it ended.
    """
    then = job.image
    hint = "pages do not outlive their process: there is nothing to take back"
    try:
        process = backend.process(then.pid)
        now = image_of(backend, process)
    except TargetGone as error:
        raise TargetGone(f"{error.message}: {hint}", pid=then.pid) from None
    if (job.backend, then.boot) != (backend.name, now.boot):
        raise RefusedError(
            f"job {job.id} was done on {job.machine} ({job.backend}) and in another boot than this", hint=hint
        )
    if now.start_time != then.start_time:
        raise RefusedError(f"pid {then.pid} is another process now ({process.name!r})", hint=hint, pid=then.pid)
    if _differ(then, now):
        raise RefusedError(
            f"pid {then.pid} runs another program now ({process.name!r}): its memory was replaced", hint=hint
        )
    return process


def _differ(then: MemoryImage, now: MemoryImage) -> bool:
    """Where one of both could not be told, it is no difference."""
    executable = any(then.executable) and any(now.executable) and then.executable != now.executable
    layout = bool(then.layout) and bool(now.layout) and then.layout != now.layout
    return executable or layout


def plan_undo(backend: Backend, undoing: Undoing) -> Plan:
    """What it comes to to take a job back.

    :raises UsageError: there is nothing to take back, or that was done already.
    :raises RefusedError: it is another process or another memory by now, or rights are missing.
    :raises TargetGone: the process ended.
    """
    journal, job = undoing.journal, undoing.job
    process = demand_same_memory(backend, job)
    pages, put = _count(undoing)
    if not pages:
        raise UsageError(f"job {job.id} moved no page", hint="numamig jobs lists what others did")
    if undoing.steps is None and (by := _taken_back(journal, job, pages.total())):
        raise UsageError(f"job {job.id} was taken back by job {by}", hint=f"numamig undo {by} does it again")
    request = replace(
        Request.from_dict(job.request), to=Node(pages.most_common(1)[0][0]), sources=None, within=None, most_pages=None
    )
    if undoing.reserve_bytes is not None:
        request = replace(request, reserve_bytes=undoing.reserve_bytes)
    topology, counters = backend.topology(), backend.node_counters()
    _, findings = check(backend, request)
    findings += _elsewhere(backend, request, pages)
    pooled = _pooled(undoing)
    for node in sorted(pages):
        wanted = (pages[node] - pooled[node]) * job.page_size
        findings += memory_room(topology, counters, request, node, wanted)
    findings += _later(journal, job)
    regions = _same_regions(backend, job)
    here = put.most_common(1)[0][0]
    return Plan(
        request=request,
        process=process,
        ranges=tuple((start, end) for _, start, end in regions),
        regions=len(regions),
        bytes_by_node={here: sum(pages.values()) * job.page_size},
        pages=sum(pages.values()),
        page_size=job.page_size,
        huge_page_size=topology.huge_page_size,
        findings=tuple(findings),
        reserve_bytes=reserve_on(request.to.nodes[0], topology, counters, request),
        ways={(here, node): count * job.page_size for node, count in pages.items()},
        selected=tuple(region for region, _, _ in regions),
        undoes=job.id,
    )


def _count(undoing: Undoing) -> tuple[Counter[int], Counter[int]]:
    """Pages by where they came from and by where they were put, those of batches without a result among them."""
    job = undoing.job
    pages: Counter[int] = Counter()
    put: Counter[int] = Counter()
    for entry in undoing.entries():
        come = moved_by(entry.intended, entry.left).pages_by_node(job.page_size)
        pages.update(come)
        for node in np.unique(unpack_batch(entry.intended).target).tolist():
            put[node] += come.total()
    return pages, put


def _pooled(undoing: Undoing) -> Counter[int]:
    """Of these, by where they came from, what goes to pools of hugetlb pages and not into free memory."""
    job, pages = undoing.job, Counter[int]()
    pools = [(start, end) for start, end, kind, _ in job.regions if kind == RegionKind.HUGETLB.value]
    if pools:
        for entry in undoing.entries():
            pages.update(moved_by(entry.intended, entry.left).within(pools).pages_by_node(job.page_size))
    return pages


def _elsewhere(backend: Backend, request: Request, nodes: Iterable[int]) -> Iterator[Finding]:
    """Further nodes that pages go to and the cpuset does not allow."""
    others = [node for node in sorted(nodes) if node not in request.to.nodes]
    if others and isinstance(backend, TellsProcessFacts):
        facts = backend.process_facts(request.pid)
        for other in others:
            found = cpuset(facts, [other])
            if found.severity is not Severity.OK:
                yield found


def can_be_taken_back(journal: Journal, job: JobEntry) -> bool:
    """Whether a job moved anything, or may have, that no other job has taken back since."""
    pages, _ = _count(Undoing(journal, job))
    return bool(pages) and _taken_back(journal, job, pages.total()) is None


def _taken_back(journal: Journal, job: JobEntry, pages: int) -> int | None:
    """The job that took all of this one back, and stands; nothing has been gone on with since.

    One that left pages where they were, busy or without room, is no obstacle: another may find them ready.
    """
    jobs = journal.jobs(job.image.boot)
    undone = {other.undoes for other in jobs if other.state == "done"}
    since = [o for o in jobs if o.undoes == job.id and o.state == "done" and o.created >= job.changed]
    whole = [o.id for o in since if o.planned >= pages and not any(o.outcomes[left] for left in _LEFT)]
    return next((number for number in whole if number not in undone), None)


def _later(journal: Journal, job: JobEntry) -> Iterator[Finding]:
    """Jobs that moved pages of the same process afterwards."""
    undone = {other.undoes for other in journal.jobs(job.image.boot)}
    for other in journal.jobs(job.image.boot):
        same = (other.image.pid, other.image.start_time) == (job.image.pid, job.image.start_time)
        if same and other.id > job.id and other.kind == "move" and other.id not in undone:
            yield Finding(
                "later job",
                Severity.WARNING,
                f"job {other.id} moved pages of the same process since",
                f"pages that it moved go back too, to where job {job.id} found them; numamig undo {other.id} first",
            )


def _same_regions(backend: Backend, job: JobEntry) -> list[tuple[Region, int, int]]:
    """What of the job's regions is still mapped, and is what it was."""
    found: list[tuple[Region, int, int]] = []
    then = iter(job.regions)
    was = next(then, None)
    for region in backend.regions(job.image.pid):
        while was is not None and was[1] <= region.start:
            was = next(then, None)
        while was is not None and was[0] < region.end:
            if (region.kind.value, _name(region.path)) == (was[2], _name(was[3])):
                found.append((region, max(region.start, was[0]), min(region.end, was[1])))
            if was[1] > region.end:
                break
            was = next(then, None)
    return found


def _name(path: str) -> str:
    """Also of a file that was unlinked meanwhile, whose mapping is what it was. Source: d_path() of fs/d_path.c."""
    return path.removesuffix(" (deleted)")
