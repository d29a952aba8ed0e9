"""move_pages(2) on the simulated machine: the checks of the call, and its answer at the time that it comes.

Source: mm/migrate.c (kernel_move_pages, do_pages_stat) and docs/kernel.md.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

import numpy as np
import simpy
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, UNWRITTEN, MovePagesCall, MovePagesReturn
from numamig.backends.simulator.costs import Duration
from numamig.backends.simulator.kernels import Locking
from numamig.backends.simulator.lookup import Pages
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import Flag
from numamig.backends.simulator.process import SimProcess
from numamig.backends.simulator.remap import remap
from numamig.backends.simulator.remap_victims import Victims
from numamig.backends.simulator.runs import move_in_runs

__all__ = ["acted_out", "acted_out_whole", "carry_out", "carry_out_alone", "clear_hints"]


class _Answer(NamedTuple):
    """What a call returned, and what it took: a number of ns, or what a move was made of; or the call in progress."""

    returned: MovePagesReturn
    took: int | Duration | simpy.Process
    copied_bytes: int = 0

    def at_last(self) -> MovePagesReturn:
        """What it returned, when its time has come."""
        if not isinstance(self.took, simpy.Process) or not self.took.value:
            return self.returned
        return self.returned._replace(returned=-1, errno=-self.took.value)


def carry_out_alone(machine: Machine, call: MovePagesCall) -> MovePagesReturn:
    """One call, now; the machine's time is that of its answer when this returns."""
    answer, timeline = _call(machine, call), machine.timeline
    if isinstance(answer.took, simpy.Process):
        timeline.run(answer.took)
        return answer.at_last()
    timeline.advance_to(timeline.now_ns + _ns(answer.took))
    return answer.returned


def carry_out(machine: Machine, calls: Sequence[MovePagesCall]) -> list[MovePagesReturn]:
    """Calls that begin together, now; the machine's time is that of the last answer when this returns."""
    answers = [_call(machine, call) for call in calls]
    timeline = machine.timeline
    timeline.run(timeline.all_of([timeline.process(_take_time(machine, answer)) for answer in answers]))
    return [answer.at_last() for answer in answers]


def acted_out(machine: Machine, call: MovePagesCall) -> Generator[simpy.Event, object, MovePagesReturn]:
    """A call by an actor, in the machine's time: others go on meanwhile."""
    answer = _call(machine, call)
    yield machine.timeline.process(_take_time(machine, answer))
    return answer.at_last()


def acted_out_whole(
    machine: Machine, process: SimProcess, victims: Victims
) -> Generator[simpy.Event, object, MovePagesReturn]:
    """The call of 2004 by an actor, for a range or a process, which move_pages(2) cannot name."""
    status = np.full(len(victims.addresses), UNWRITTEN, np.int32)
    failed = -_refusal(machine, process, MPOL_MF_MOVE)
    if not failed:
        call = machine.timeline.process(remap(machine, process, victims, status))
        yield call
        failed = call.value or 0
    return MovePagesReturn(-1 if failed else 0, -failed, status)


def clear_hints(machine: Machine, process: SimProcess, addresses: NDArray[np.uint64]) -> None:
    """What a read by the process does to the marks of NUMA balancing; a huge page has one mark for all of it."""
    pages = Pages.find(machine, process, addresses)
    for number in np.unique(pages.region[pages.region >= 0]).tolist():
        backing = process.regions[number].backing
        mine = pages.region == number
        large = mine & (pages.flags & np.uint8(Flag.LARGE) != 0)
        for part in (pages.index[mine & ~large], backing.whole(np.unique(pages.head[large]))):
            backing.flags[part] &= np.uint8(255 & ~Flag.HINTED)


def _ns(took: int | Duration) -> int:
    return took if isinstance(took, int) else round(took.total_ns)


def _take_time(machine: Machine, answer: _Answer) -> Generator[simpy.Event, object, None]:
    """A call among others: copying shares the links, the rest has a CPU to itself."""
    took = answer.took
    if isinstance(took, simpy.Process):
        yield took
        return
    if isinstance(took, int) or not answer.copied_bytes:
        yield machine.timeline.timeout(_ns(took))
        return
    yield machine.timeline.timeout(round(took.total_ns - took.copy_ns))
    yield machine.links.transfer(answer.copied_bytes)


def _call(machine: Machine, call: MovePagesCall) -> _Answer:
    pid, addresses, nodes, flags = call
    status = np.empty(len(addresses), np.int32)
    status.fill(UNWRITTEN)
    process = machine.processes.get(pid)
    if refusal := _refusal(machine, process, flags):
        return _Answer(MovePagesReturn(-1, refusal, status), round(machine.costs.query_ns))
    assert process is not None
    if nodes is None:
        status[:] = Pages.find(machine, process, addresses).where()
        return _Answer(MovePagesReturn(0, 0, status), machine.costs.asking(len(addresses)))
    return _MOVING[machine.kernel.locking](machine, process, call, status)


def _by_runs(machine: Machine, process: SimProcess, call: MovePagesCall, status: NDArray[np.int32]) -> _Answer:
    assert call.nodes is not None
    returned, took, copied_bytes = move_in_runs(
        machine, process, call.addresses, call.nodes, status, move_all=bool(call.flags & MPOL_MF_MOVE_ALL)
    )
    machine.moving_calls += 1
    answer = MovePagesReturn(-1, -returned, status) if returned < 0 else MovePagesReturn(returned, 0, status)
    return _Answer(answer, took, copied_bytes)


def _by_lists(machine: Machine, process: SimProcess, call: MovePagesCall, status: NDArray[np.int32]) -> _Answer:
    assert call.nodes is not None
    victims = Victims(call.addresses, call.nodes)
    steps = remap(machine, process, victims, status, move_all=bool(call.flags & MPOL_MF_MOVE_ALL))
    return _Answer(MovePagesReturn(0, 0, status), machine.timeline.process(steps))


_MOVING: dict[Locking, Callable[[Machine, SimProcess, MovePagesCall, NDArray[np.int32]], _Answer]] = {
    Locking.PER_TABLE: _by_runs,
    Locking.HOLD: _by_lists,
    Locking.RESCAN: _by_lists,
}


def _refusal(machine: Machine, process: SimProcess | None, flags: int) -> int:
    """The errno of a call that is refused as a whole; 0 where it is not. In the order of the kernel's checks."""
    if flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL):
        return errno.EINVAL
    if flags & MPOL_MF_MOVE_ALL and not machine.caller.sys_nice:
        return errno.EPERM
    if process is None:
        return errno.ESRCH
    if not machine.may_look_at(process):
        return errno.EPERM
    return errno.EINVAL if process.kernel_thread or process.zombie else 0
