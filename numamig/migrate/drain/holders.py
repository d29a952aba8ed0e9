"""Who has memory on the nodes that are to be emptied, counted process by process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from numamig.backends.base import Backend, TellsProcessFacts, TellsSharing
from numamig.errors import RefusedError, TargetGone
from numamig.migrate.preflight.pages import shared_share
from numamig.migrate.preflight.tally import Tally, count_chosen
from numamig.migrate.request import Request
from numamig.migrate.select import select_regions
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Process

__all__ = ["Held", "Locked", "Survey", "survey"]


@dataclass(frozen=True, slots=True)
class Held:
    """What one process has on the nodes."""

    process: Process
    bytes: int
    """That are mapped there, hugetlb pages too."""
    shared_bytes: int | None
    """Of them, what other processes map too; None where the machine does not tell."""
    estimated: bool
    """``shared_bytes`` is from a sample of its pages."""
    hugetlb_bytes: int
    """Of them, pages of hugetlb pools."""
    hidden_bytes: int
    """Present, but marked by NUMA balancing so that nobody sees on which node."""
    allowed: tuple[int, ...] | None
    """Nodes that its cpuset allows; None where there is no such limit, or it is not known."""

    @property
    def private_bytes(self) -> int:
        return self.bytes - (self.shared_bytes or 0)

    def as_dict(self) -> dict[str, object]:
        """As in ``numamig ps --json``, as far as there is the same."""
        return {
            "pid": self.process.pid,
            "start_time": self.process.start_time,
            "name": self.process.name,
            "user": self.process.user,
            "resident_bytes": self.process.resident_bytes,
            "bytes": self.bytes,
            "shared_bytes": self.shared_bytes,
            "shared_estimated": self.estimated,
            "hugetlb_bytes": self.hugetlb_bytes,
            "unknown_bytes": self.hidden_bytes,
        }


@dataclass(frozen=True, slots=True)
class Locked:
    """A process that the caller may not look at: it may have memory there or not."""

    process: Process
    reason: str

    def as_dict(self) -> dict[str, object]:
        return {
            "pid": self.process.pid,
            "name": self.process.name,
            "user": self.process.user,
            "resident_bytes": self.process.resident_bytes,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Survey:
    """Everybody who has, or may have, memory on the nodes."""

    held: tuple[Held, ...]
    """The most first, then by pid."""
    locked: tuple[Locked, ...]
    """Ascending by pid; those without resident memory are left out."""

    @property
    def bytes(self) -> int:
        """What is shared is counted for each of those who map it."""
        return sum(each.bytes for each in self.held)

    @property
    def empty(self) -> bool:
        """Nothing is mapped there, as far as anybody can tell."""
        return not self.held and not self.locked

    def find(self, process: Process) -> Held | None:
        return next((each for each in self.held if each.process.identity == process.identity), None)


def survey(backend: Backend, processes: Sequence[Process], request_for: Callable[[Process], Request]) -> Survey:
    """Look at each of these processes; those that end meanwhile are left out.

    :param request_for: what would be asked of one: its source nodes are looked at
    """
    page_size = backend.topology().page_size
    held: list[Held] = []
    locked: list[Locked] = []
    for process in processes:
        try:
            one = _count(backend, process, request_for(process), page_size)
        except TargetGone:
            continue
        except RefusedError as error:
            if process.resident_bytes:
                locked.append(Locked(process, str(error)))
            continue
        if one.bytes or one.hidden_bytes:
            held.append(one)
    held.sort(key=lambda each: (-each.bytes, -each.hidden_bytes, each.process.pid))
    return Survey(tuple(held), tuple(locked))


def candidates(backend: Backend, me: int | None, wanted: Callable[[Process], bool]) -> Iterator[Process]:
    """Processes that can have memory which could move, ascending by pid.

    :param me: pid of the caller on that machine, whose memory goes when it ends
    """
    for process in backend.processes():
        if not process.zombie and not process.kernel_thread and process.pid != me and wanted(process):
            yield process


def _count(backend: Backend, process: Process, request: Request, page_size: int) -> Held:
    """
    :raises TargetGone: it ended
    :raises RefusedError: the caller may not look
    """
    selected = tuple(select_regions(backend.regions(process.pid), request))
    tally = count_chosen(backend, request, selected, page_size)
    shared, estimated = _shared(backend, process, tally)
    facts = backend.process_facts(process.pid) if isinstance(backend, TellsProcessFacts) else None
    return Held(
        process=process,
        bytes=tally.wanted_bytes,
        shared_bytes=shared,
        estimated=estimated,
        hugetlb_bytes=tally.hugetlb_bytes,
        hidden_bytes=tally.bytes_by_node.get(UNKNOWN_NODE, 0),
        allowed=None if facts is None else facts.mems_allowed,
    )


def _shared(backend: Backend, process: Process, tally: Tally) -> tuple[int | None, bool]:
    """Bytes that others map too, and whether they are estimated."""
    if not tally.wanted_bytes:
        return 0, False
    if not isinstance(backend, TellsSharing):
        return None, False
    try:
        answers = backend.shared_pages(process.pid, tally.sample)
    except RefusedError:
        return None, False
    found = shared_share(answers, all_asked=tally.sampled_all)
    return (None, False) if found is None else (round(tally.wanted_bytes * found.share), not tally.sampled_all)
