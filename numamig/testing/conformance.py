"""What every backend must answer: the behaviour of move_pages(2), and readers that agree with it.

Source of the assertions: the kernel as it was observed (docs/kernel.md), LTP's move_pages01-12, numactl's own test.
"""

from __future__ import annotations

import errno

import numpy as np
import pytest
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, UNWRITTEN, Backend, MovePagesCall, MovePagesReturn
from numamig.errors import TargetGone
from numamig.model.pages import PageRuns
from numamig.testing.workshop import Area, Target, Workshop

__all__ = ["ConformanceSuite"]

HUGE_PAGES = 512
_SOMEWHERE = 1 << 16
"""An address in nobody's memory."""


def addresses(target: Target, area: int, pages: int, first: int = 0) -> NDArray[np.uint64]:
    """Addresses of single pages of an area; shape (pages,)."""
    index = np.arange(first, first + pages, dtype=np.uint64)
    return np.uint64(target.starts[area]) + index * np.uint64(target.page_bytes)


def everywhere(node: int, pages: int) -> NDArray[np.int32]:
    return np.full(pages, node, np.int32)


class ConformanceSuite:
    """Subclass it, and give it a fixture ``workshop``. It needs two memory nodes."""

    @pytest.fixture
    def backend(self, workshop: Workshop) -> Backend:
        return workshop.backend

    @pytest.fixture
    def here(self, backend: Backend) -> int:
        return backend.topology().memory_nodes[0]

    @pytest.fixture
    def there(self, backend: Backend) -> int:
        return backend.topology().memory_nodes[1]

    def ask(self, backend: Backend, target: Target, where: NDArray[np.uint64]) -> list[int]:
        answer = backend.move_pages(target.pid, where, None)
        assert (answer.returned, answer.errno) == (0, 0)
        return [int(s) for s in answer.status]

    # Asking

    def test_a_query_answers_where_pages_are(self, workshop: Workshop, backend: Backend, here: int, there: int) -> None:
        target = workshop.start(Area(8, here), Area(8, there))
        assert self.ask(backend, target, addresses(target, 0, 8)) == [here] * 8
        assert self.ask(backend, target, addresses(target, 1, 8)) == [there] * 8

    def test_an_unmapped_address_answers_efault(self, workshop: Workshop, backend: Backend, here: int) -> None:
        target = workshop.start(Area(4, here))
        behind = addresses(target, 0, 1, first=4)
        assert self.ask(backend, target, behind) == [-errno.EFAULT]

    def test_untouched_pages_are_absent_and_stay_so(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        target = workshop.start(Area(4, here, "untouched"))
        where = addresses(target, 0, 4)
        assert set(self.ask(backend, target, where)) <= {-errno.EFAULT, -errno.ENOENT}
        answer = backend.move_pages(target.pid, where, everywhere(there, 4))
        assert answer.returned == 0
        assert set(answer.status.tolist()) <= {-errno.EFAULT, -errno.ENOENT}
        assert target.pages_by_node(0) == {}

    def test_the_zero_page_is_nobodys_memory(self, workshop: Workshop, backend: Backend, here: int, there: int) -> None:
        target = workshop.start(Area(4, here, "read"))
        where = addresses(target, 0, 4)
        assert self.ask(backend, target, where) == [-errno.EFAULT] * 4
        answer = backend.move_pages(target.pid, where, everywhere(there, 4))
        assert answer.status.tolist() == [-errno.EFAULT] * 4
        assert len(self.look(backend, target, 0, 4)) == 0

    def test_an_unaligned_address_is_its_page(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        target = workshop.start(Area(4, here))
        where = addresses(target, 0, 4) + np.uint64(123)
        assert self.ask(backend, target, where) == [here] * 4
        backend.move_pages(target.pid, where[:2], everywhere(there, 2))
        assert target.pages_by_node(0) == {here: 2, there: 2}

    # Moving

    def test_pages_move_and_their_neighbours_stay(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        target = workshop.start(Area(16, here))
        answer = backend.move_pages(target.pid, addresses(target, 0, 4, first=4), everywhere(there, 4))
        assert (answer.returned, answer.status.tolist()) == (0, [there] * 4)
        assert target.pages_by_node(0) == {here: 12, there: 4}
        assert self.ask(backend, target, addresses(target, 0, 16)) == [here] * 4 + [there] * 4 + [here] * 8

    def test_a_page_that_is_there_answers_its_node(self, workshop: Workshop, backend: Backend, there: int) -> None:
        target = workshop.start(Area(4, there))
        answer = backend.move_pages(target.pid, addresses(target, 0, 4), everywhere(there, 4))
        assert (answer.returned, answer.status.tolist()) == (0, [there] * 4)

    def test_every_page_may_have_a_target_of_its_own(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        target = workshop.start(Area(8, here))
        wanted = np.array([there, here] * 4, np.int32)
        answer = backend.move_pages(target.pid, addresses(target, 0, 8), wanted)
        assert (answer.returned, answer.status.tolist()) == (0, wanted.tolist())
        assert target.pages_by_node(0) == {here: 4, there: 4}

    def test_errors_in_a_list_do_not_stop_it(self, workshop: Workshop, backend: Backend, here: int, there: int) -> None:
        target = workshop.start(Area(4, here))
        where = np.insert(addresses(target, 0, 4), 2, addresses(target, 0, 1, first=4))
        answer = backend.move_pages(target.pid, where, everywhere(there, 5))
        assert (answer.returned, answer.status.tolist()) == (0, [there, there, -errno.EFAULT, there, there])
        assert target.pages_by_node(0) == {there: 4}

    def test_a_page_named_twice_is_busy_once_and_moves(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        if not workshop.moves_in_runs:
            pytest.skip("capability moves_in_runs of the workshop is missing")
        target = workshop.start(Area(2, here))
        where = addresses(target, 0, 2)[[0, 0, 1]]
        answer = backend.move_pages(target.pid, where, everywhere(there, 3))
        assert (answer.returned, answer.status.tolist()) == (0, [there, -errno.EBUSY, there])
        assert target.pages_by_node(0) == {there: 2}

    def test_flags_0_with_nodes_moves(self, workshop: Workshop, backend: Backend, here: int, there: int) -> None:
        target = workshop.start(Area(2, here))
        answer = backend.move_pages(target.pid, addresses(target, 0, 2), everywhere(there, 2), 0)
        assert (answer.returned, answer.status.tolist()) == (0, [there] * 2)

    def test_calls_may_go_together(self, workshop: Workshop, backend: Backend, here: int, there: int) -> None:
        target = workshop.start(Area(32, here))
        calls = [
            MovePagesCall(target.pid, addresses(target, 0, 16, first), everywhere(there, 16), MPOL_MF_MOVE)
            for first in (0, 16)
        ]
        answers = backend.move_pages_together(calls)
        assert [(a.returned, a.status.tolist()) for a in answers] == [(0, [there] * 16)] * 2
        assert target.pages_by_node(0) == {there: 32}

    # Shared, pinned and huge pages

    def test_shared_pages_stay_unless_all_are_to_move(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        target = workshop.start(Area(4, here, "shared"))
        where = addresses(target, 0, 4)
        answer = backend.move_pages(target.pid, where, everywhere(there, 4))
        assert (answer.returned, answer.status.tolist()) == (0, [-errno.EACCES] * 4)
        if not backend.capabilities.move_shared:
            pytest.skip("capability move_shared is missing")
        answer = backend.move_pages(target.pid, where, everywhere(there, 4), MPOL_MF_MOVE_ALL)
        assert (answer.returned, answer.status.tolist()) == (0, [there] * 4)
        assert self.ask(backend, target, where) == [there] * 4

    def test_a_pinned_page_hides_the_run_it_is_in(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        if not (workshop.can_pin and workshop.moves_in_runs):
            pytest.skip("capability can_pin or moves_in_runs of the workshop is missing")
        target = workshop.start(Area(8, here, pinned=(3,)))
        answer = backend.move_pages(target.pid, addresses(target, 0, 8), everywhere(there, 8))
        assert answer.returned == 1
        assert answer.status.tolist() == [UNWRITTEN] * 8
        assert target.pages_by_node(0) == {here: 1, there: 7}

    def test_what_follows_a_failed_run_is_not_tried(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        if not (workshop.can_pin and workshop.moves_in_runs):
            pytest.skip("capability can_pin or moves_in_runs of the workshop is missing")
        target = workshop.start(Area(8, here, pinned=(1,)), Area(4, there))
        where = np.concatenate((addresses(target, 0, 4), addresses(target, 1, 2), addresses(target, 0, 2, first=4)))
        nodes = np.array([there] * 4 + [here] * 2 + [there] * 2, np.int32)
        answer = backend.move_pages(target.pid, where, nodes)
        assert answer.returned == 5
        assert answer.status.tolist() == [UNWRITTEN] * 8
        assert target.pages_by_node(0) == {here: 5, there: 3}
        assert target.pages_by_node(1) == {there: 4}

    def test_a_failed_run_ends_at_a_page_that_was_not_queued(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        if not (workshop.can_pin and workshop.moves_in_runs):
            pytest.skip("capability can_pin or moves_in_runs of the workshop is missing")
        target = workshop.start(Area(8, here, pinned=(1,)), Area(1, there))
        where = np.concatenate((addresses(target, 0, 4), addresses(target, 1, 1), addresses(target, 0, 4, first=4)))
        answer = backend.move_pages(target.pid, where, everywhere(there, 9))
        assert answer.returned == 5
        assert answer.status.tolist() == [UNWRITTEN] * 4 + [there] + [UNWRITTEN] * 4
        assert target.pages_by_node(0) == {here: 5, there: 3}

    def test_pages_that_move_in_their_turn_have_statuses_of_their_own(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        if workshop.moves_in_runs or not workshop.can_pin:
            pytest.skip("the workshop has the capability moves_in_runs, or can_pin is missing")
        target = workshop.start(Area(8, here, pinned=(3,)))
        where = addresses(target, 0, 8)[[0, 1, 1, 2, 3, 4, 5, 6, 7]]
        answer = backend.move_pages(target.pid, where, everywhere(there, 9))
        assert (answer.returned, answer.errno) == (0, 0)
        assert answer.status.tolist() == [there] * 4 + [-errno.EBUSY] + [there] * 4
        assert target.pages_by_node(0) == {here: 1, there: 7}

    def test_any_address_of_a_huge_page_moves_all_of_it(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        if not workshop.can_make_huge:
            pytest.skip("capability can_make_huge of the workshop is missing")
        target = workshop.start(Area(HUGE_PAGES, here, "huge"))
        answer = backend.move_pages(target.pid, addresses(target, 0, 1, first=100), everywhere(there, 1))
        assert (answer.returned, answer.status.tolist()) == (0, [there])
        assert target.pages_by_node(0) == {there: HUGE_PAGES}

    def test_a_second_address_of_a_huge_page_is_called_busy(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        if not workshop.can_make_huge:
            pytest.skip("capability can_make_huge of the workshop is missing")
        target = workshop.start(Area(HUGE_PAGES, here, "huge"))
        answer = backend.move_pages(target.pid, addresses(target, 0, 3), everywhere(there, 3))
        assert (answer.returned, answer.status.tolist()) == (0, [there, -errno.EBUSY, there])
        assert target.pages_by_node(0) == {there: HUGE_PAGES}

    # Refused calls

    def refused(self, answer: MovePagesReturn, number: int) -> None:
        assert (answer.returned, answer.errno) == (-1, number)
        assert (answer.status == UNWRITTEN).all()

    def test_unknown_flags_are_invalid(self, workshop: Workshop, backend: Backend, here: int, there: int) -> None:
        target = workshop.start(Area(2, here))
        self.refused(backend.move_pages(target.pid, addresses(target, 0, 2), everywhere(there, 2), 1), errno.EINVAL)
        assert target.pages_by_node(0) == {here: 2}

    def test_an_unused_pid_is_no_process(self, workshop: Workshop, backend: Backend, there: int) -> None:
        where = np.array([_SOMEWHERE], np.uint64)
        self.refused(backend.move_pages(workshop.unused_pid, where, everywhere(there, 1)), errno.ESRCH)
        self.refused(backend.move_pages(workshop.unused_pid, where, None), errno.ESRCH)
        with pytest.raises(TargetGone):
            backend.process(workshop.unused_pid)

    def test_a_kernel_thread_has_no_memory(self, workshop: Workshop, backend: Backend, there: int) -> None:
        where = np.array([_SOMEWHERE], np.uint64)
        self.refused(backend.move_pages(workshop.kernel_thread, where, everywhere(there, 1)), errno.EINVAL)
        assert backend.process(workshop.kernel_thread).kernel_thread
        assert workshop.kernel_thread not in [process.pid for process in backend.processes()]

    def test_no_pages_are_no_error(self, workshop: Workshop, backend: Backend, here: int) -> None:
        target = workshop.start(Area(1, here))
        answer = backend.move_pages(target.pid, np.empty(0, np.uint64), np.empty(0, np.int32))
        assert (answer.returned, len(answer.status)) == (0, 0)

    @pytest.mark.parametrize("node", [-1, 250, 1 << 20])
    def test_a_node_that_is_not_there_ends_the_call(
        self, workshop: Workshop, backend: Backend, here: int, there: int, node: int
    ) -> None:
        target = workshop.start(Area(6, here))
        wanted = np.array([there, there, node, there, there, there], np.int32)
        answer = backend.move_pages(target.pid, addresses(target, 0, 6), wanted)
        assert (answer.returned, answer.errno) == (-1, errno.ENODEV)
        assert answer.status.tolist() == [there, there] + [UNWRITTEN] * 4
        assert target.pages_by_node(0) == {here: 4, there: 2}

    # Looking

    def look(self, backend: Backend, target: Target, area: int, pages: int) -> PageRuns:
        start = target.starts[area]
        return PageRuns.concatenate(backend.page_runs(target.pid, [(start, start + pages * target.page_bytes)]))

    def test_page_runs_agree_with_queries(self, workshop: Workshop, backend: Backend, here: int, there: int) -> None:
        target = workshop.start(Area(64, here), Area(8, here, "untouched"))
        backend.move_pages(target.pid, addresses(target, 0, 64)[::3], everywhere(there, 22))
        where, size, node = self.look(backend, target, 0, 64).folios()
        assert size.tolist() == [target.page_bytes] * 64
        assert where.tolist() == addresses(target, 0, 64).tolist()
        assert node.tolist() == self.ask(backend, target, where)
        assert len(self.look(backend, target, 1, 8)) == 0

    def test_page_runs_agree_with_the_back_door(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        target = workshop.start(Area(100, here), Area(50, there))
        backend.move_pages(target.pid, addresses(target, 0, 30, first=20), everywhere(there, 30))
        for area, pages in ((0, 100), (1, 50)):
            by_node = self.look(backend, target, area, pages).bytes_by_node()
            assert {n: b // target.page_bytes for n, b in by_node.items()} == target.pages_by_node(area)

    def test_page_runs_keep_to_their_ranges(self, workshop: Workshop, backend: Backend, here: int) -> None:
        target = workshop.start(Area(32, here))
        start, page = target.starts[0], target.page_bytes
        ranges = [(start + 2 * page, start + 5 * page), (start + 9 * page, start + 10 * page)]
        where, _, _ = PageRuns.concatenate(backend.page_runs(target.pid, ranges)).folios()
        assert ((where - np.uint64(start)) // np.uint64(page)).tolist() == [2, 3, 4, 9]

    def test_a_huge_page_is_one_folio(self, workshop: Workshop, backend: Backend, here: int) -> None:
        if not (workshop.can_make_huge and backend.capabilities.see_pfn):
            pytest.skip("capability can_make_huge of the workshop, or see_pfn, is missing")
        target = workshop.start(Area(2 * HUGE_PAGES, here, "huge"))
        page = target.page_bytes
        where, size, node = self.look(backend, target, 0, 2 * HUGE_PAGES).folios()
        assert size.tolist() == [HUGE_PAGES * page] * 2
        assert where.tolist() == [target.starts[0], target.starts[0] + HUGE_PAGES * page]
        assert node.tolist() == [here] * 2
        middle = target.starts[0] + 100 * page
        (part,) = PageRuns.concatenate(backend.page_runs(target.pid, [(middle, middle + page)])).folios()[0].tolist()
        assert part == target.starts[0]

    def test_regions_hold_the_areas(self, workshop: Workshop, backend: Backend, here: int) -> None:
        target = workshop.start(Area(16, here), Area(4, here, "untouched"))
        regions = backend.regions(target.pid)
        assert [r.start for r in regions] == sorted(r.start for r in regions)
        for start, pages in zip(target.starts, (16, 4), strict=True):
            assert [r for r in regions if r.start <= start and start + pages * target.page_bytes <= r.end]

    def test_a_process_is_seen_and_then_gone(self, workshop: Workshop, backend: Backend, here: int) -> None:
        target = workshop.start(Area(8, here))
        seen = backend.process(target.pid)
        assert seen.identity == (target.pid, seen.start_time)
        assert seen.identity in [process.identity for process in backend.processes()]
        assert seen.resident_bytes >= 8 * target.page_bytes
        where = addresses(target, 0, 8)
        target.end()
        assert backend.move_pages(target.pid, where, None).errno in (errno.ESRCH, errno.EINVAL)
        with pytest.raises(TargetGone):
            list(backend.page_runs(target.pid, [(int(where[0]), int(where[-1]) + target.page_bytes)]))
        with pytest.raises(TargetGone):
            backend.regions(target.pid)

    # The machine

    def test_the_topology_is_whole(self, backend: Backend) -> None:
        topology = backend.topology()
        ids = [node.id for node in topology.nodes]
        assert ids == sorted(set(ids))
        assert len(topology.memory_nodes) >= 2
        assert all(topology.distances[node, node] == 10 for node in ids)
        assert set(backend.node_counters().free_bytes) >= set(topology.memory_nodes)

    def test_moving_changes_free_memory_and_counters(
        self, workshop: Workshop, backend: Backend, here: int, there: int
    ) -> None:
        pages = 12_288
        target = workshop.start(Area(pages, here))
        before = backend.node_counters()
        backend.move_pages(target.pid, addresses(target, 0, pages), everywhere(there, pages))
        after = backend.node_counters()
        assert after.vmstat["pgmigrate_success"] - before.vmstat["pgmigrate_success"] >= pages
        # Others give memory back meanwhile on a real machine: a quarter of what moved must show.
        assert before.free_bytes[there] - after.free_bytes[there] >= pages // 4 * target.page_bytes
        assert after.taken_ns > before.taken_ns
