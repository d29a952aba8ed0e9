"""Flags of single pages on the simulated machine, held to its page tables."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.base import TellsPageFlags
from numamig.backends.simulator.memory import Flag
from numamig.backends.simulator.process import Caller
from numamig.backends.wrappers import ReadOnly
from numamig.errors import RefusedError, TargetGone
from numamig.model.pageflags import PageFlag
from tests.machines import PID, START, add_process, machine

OWN = {
    0: Flag.PINNED,
    1: Flag.ISOLATED,
    2: Flag.WRITEBACK,
    3: Flag.MLOCKED,
    4: Flag.HINTED,
    5: Flag.PINNED | Flag.MLOCKED,
    7: Flag.ZERO,
}
TOLD = [
    PageFlag.PINNED,
    PageFlag.BUSY,
    PageFlag.WRITEBACK,
    PageFlag.MLOCKED,
    PageFlag.HINTED,
    PageFlag.PINNED | PageFlag.MLOCKED,
    PageFlag.SHARED,
]


def addresses(pages: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return START + np.arange(pages, dtype=np.uint64) * np.uint64(4096)


@pytest.mark.parametrize("sys_admin", [True, False])
def test_each_flag_of_each_page_is_told_whoever_asks(sys_admin: bool) -> None:
    backend = machine(caller=Caller(sys_admin=sys_admin))
    (backing,) = add_process(backend, [0] * 8 + [255, 0], flags=OWN)
    backing.sharers[6] = 3
    seen = backend.page_flags(PID, addresses(11))
    every = sum(PageFlag)
    assert seen.flags.tolist() == [*TOLD, 0, 0, 0, 0]
    # The zero page is nobody's, the ninth was never touched, and behind the tenth nothing is mapped.
    assert seen.known.tolist() == [every] * 7 + [0, 0, every, 0]


def test_a_huge_page_is_held_or_shared_as_a_whole() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1024, flags={700: Flag.PINNED}, huge=True)
    seen = backend.page_flags(PID, addresses(1024))
    assert (seen.flags[:512] == PageFlag.HUGE).all()
    assert (seen.flags[512:] == PageFlag.HUGE | PageFlag.PINNED).all()
    backing.sharers[:512] = 2
    assert (backend.page_flags(PID, addresses(512)).flags == PageFlag.HUGE | PageFlag.SHARED).all()


def test_what_is_shared_is_what_the_other_question_says() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0, 1, 255, 2, 0, 0])
    backing.sharers[1:4] = 2
    told = backend.shared_pages(PID, addresses(6))
    seen = backend.page_flags(PID, addresses(6))
    assert np.where(seen.known > 0, seen.flags & PageFlag.SHARED, -1).tolist() == told.tolist()


def test_who_may_not_look_is_refused_and_a_process_that_ended_is_gone() -> None:
    backend = machine(caller=Caller(user="eve", sys_ptrace=False))
    add_process(backend, [0], user="alice")
    with pytest.raises(RefusedError, match="no right to look"):
        backend.page_flags(PID, addresses(1))
    with pytest.raises(TargetGone):
        backend.page_flags(PID + 1, addresses(1))


def test_a_backend_that_is_only_looked_at_tells_them_too() -> None:
    backend = machine()
    add_process(backend, [0], flags={0: Flag.PINNED})
    inside = ReadOnly(backend)
    assert isinstance(inside, TellsPageFlags)
    assert inside.page_flags(PID, addresses(1)).flags.tolist() == [PageFlag.PINNED]
