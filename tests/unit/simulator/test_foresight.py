"""What the simulated machine tells before pages move, held to what happens when they do."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from numamig.backends.base import Predicts, TellsHazards, TellsSharing
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import Flag
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.model.process import Hazards
from tests.machines import PID, START, add_process, machine

HUGE = 512


def addresses(pages: int, every: int = 1) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return START + np.arange(0, pages, every, dtype=np.uint64) * np.uint64(4096)


def test_it_tells_all_three() -> None:
    backend = machine()
    assert isinstance(backend, TellsHazards)
    assert isinstance(backend, TellsSharing)
    assert isinstance(backend, Predicts)


def test_pinned_pages_that_are_present() -> None:
    backend = machine()
    add_process(backend, [0, 0, 255, 1], flags={0: Flag.PINNED, 2: Flag.PINNED, 3: Flag.MLOCKED})
    assert backend.hazards(PID) == Hazards(pinned_bytes=4096)


def test_init() -> None:
    backend = machine()
    add_process(backend, [0], pid=1)
    add_process(backend, [0], pid=2)
    assert (backend.hazards(1).init, backend.hazards(2).init) == (True, False)


def share(backend: SimulatorBackend, first: int, length: int) -> None:
    """Another process maps a part of the first region."""
    backing = backend.machine.process(PID).regions[0].backing
    backing.sharers[first : first + length] += 1
    region = SimRegion(START, backing, first=first, length=length)
    backend.machine.processes[8] = SimProcess(8, "other", regions=[region])


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
def test_a_page_is_shared_where_the_call_refuses_it(kernel: str) -> None:
    backend = machine(kernel=kernel)
    add_process(backend, [0] * 8 + [255, 0])
    share(backend, 2, 4)
    address = addresses(11)
    told = backend.shared_pages(PID, address)
    assert told.tolist() == [0, 0, 1, 1, 1, 1, 0, 0, -1, 0, -1]
    status = backend.move_pages(PID, address, np.ones(11, np.int32)).status
    assert (status[told == 1] == -errno.EACCES).all()
    assert (status[told == 0] == 1).all()


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
@pytest.mark.parametrize(("folio_pages", "folios"), [(1, 1), (1, 512), (HUGE, 1), (HUGE, 16)])
def test_the_prediction_is_what_a_call_takes(kernel: str, folio_pages: int, folios: int) -> None:
    backend = machine(kernel=kernel)
    add_process(backend, [0] * (folio_pages * folios), huge=folio_pages > 1)
    cost = backend.folio_cost(PID, folio_pages * 4096)
    assert cost is not None
    address = addresses(folio_pages * folios, folio_pages)
    began = backend.clock.now_ns()
    answer = backend.move_pages(PID, address, np.ones(folios, np.int32))
    assert answer.returned == 0
    assert backend.clock.now_ns() - began == pytest.approx(cost.call_ns + folios * cost.folio_ns, rel=0.01)
    assert cost.together == (512 // folio_pages if kernel == "linux-6.12" else 1)


def test_the_kernels_of_2004_have_costs_of_another_kind() -> None:
    backend = machine(kernel="ia64-2004-rescan")
    add_process(backend, [0])
    assert backend.folio_cost(PID, 16384) is None
