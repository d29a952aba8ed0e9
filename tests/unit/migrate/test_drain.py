"""Who goes where when a node is emptied, and what of it is in no process; as pure functions of what is seen."""

from __future__ import annotations

from numamig.migrate.drain.holders import Held, Survey
from numamig.migrate.drain.shares import assign, nearest_with_room, wanted_bytes
from numamig.migrate.drain.unmovable import mapped_bytes, unmovable
from numamig.model.process import Process
from numamig.model.topology import HugePool, Node, NodeCounters, Topology

MIB = 1 << 20
TOPOLOGY = Topology(
    nodes=tuple(Node(number, (number,), 1024 * MIB, 0) for number in range(4)),
    distances={
        (a, b): far
        for a, row in enumerate(((10, 20, 30, 30), (20, 10, 30, 30), (17, 15, 10, 28), (30, 30, 28, 10)))
        for b, far in enumerate(row)
    },
)


def held(pid: int, mib: int, shared: int | None = 0, hugetlb: int = 0, allowed: tuple[int, ...] | None = None) -> Held:
    process = Process(pid, 1, "db", "root")
    common = None if shared is None else shared * MIB
    return Held(process, mib * MIB, common, False, hugetlb * MIB, 0, allowed)


def placed(several: list[Held], room: dict[int, int], *, shared: bool = False) -> list[dict[int, int]]:
    given = assign(several, {node: mib * MIB for node, mib in room.items()}, shared=shared)
    return [{node: count // MIB for node, count in parts.items()} for parts in given]


def test_each_goes_whole_to_where_most_room_is_left() -> None:
    several = [held(1, 40), held(2, 30), held(3, 20), held(4, 10)]
    assert placed(several, {0: 60, 1: 50}) == [{0: 40}, {1: 30}, {0: 20}, {1: 10}]


def test_what_fits_nowhere_is_parted_and_the_rest_stays_with_the_first() -> None:
    assert placed([held(1, 100)], {0: 60, 1: 70}) == [{1: 70, 0: 30}]
    assert placed([held(1, 100)], {0: 20, 1: 30}) == [{1: 80, 0: 20}]
    assert placed([held(1, 5)], {0: 0, 1: 0}) == [{0: 5}]
    assert placed([held(1, 0)], {0: 1, 1: 2}) == [{1: 0}]


def test_who_has_less_of_a_choice_has_it_first() -> None:
    several = [held(1, 60), held(2, 10, allowed=(1, 2)), held(3, 10, allowed=(2,))]
    first, second, third = placed(several, {0: 70, 1: 75})
    assert (first, second) == ({0: 60}, {1: 10})
    assert len(third) == 1  # where its cpuset lets it nowhere, the plan says so


def test_what_is_shared_takes_room_once_and_pools_take_none() -> None:
    several = [held(1, 30, shared=20), held(2, 25, shared=20), held(3, 24, shared=24), held(4, 8, hugetlb=8)]
    assert wanted_bytes(several, shared=True) == [30 * MIB, 5 * MIB, 4 * MIB, 0]
    assert wanted_bytes(several, shared=False) == [10 * MIB, 5 * MIB, 0, 0]
    assert wanted_bytes([held(1, 30, shared=None)], shared=False) == [30 * MIB]


def test_the_nearest_are_filled_as_many_as_it_takes() -> None:
    room = {0: 40 * MIB, 1: 40 * MIB, 3: 40 * MIB}
    assert nearest_with_room(TOPOLOGY, [2], room, 30 * MIB) == (1,)
    assert nearest_with_room(TOPOLOGY, [2], room, 41 * MIB) == (0, 1)
    assert nearest_with_room(TOPOLOGY, [2], room, 500 * MIB) == (0, 1, 3)
    assert nearest_with_room(TOPOLOGY, [2], {**room, 1: 0}, 30 * MIB) == (0,)
    assert nearest_with_room(TOPOLOGY, [2], dict.fromkeys(room, 0), 30 * MIB) == (0, 1, 3)
    assert nearest_with_room(TOPOLOGY, [2], room, 0) == (1,)


def test_what_is_in_no_process_by_the_kernels_counters() -> None:
    counted = {
        "nr_anon_pages": 25_600,  # 100 MiB
        "nr_file_pages": 12_800,  # 50 MiB, of which 20 are mapped
        "nr_mapped": 5_120,
        "nr_slab_reclaimable": 256,
        "nr_slab_unreclaimable": 512,
        "nr_kernel_stack": 4_096,  # KiB
        "nr_page_table_pages": 1_024,
    }
    counters = NodeCounters(
        taken_ns=0,
        free_bytes={2: 700 * MIB},
        vmstat={},
        huge_pools={2: (HugePool(2 * MIB, 10, 4, 0),)},
        node_vmstat={2: counted},
    )
    kinds = {each.kind: each.bytes // MIB for each in unmovable(TOPOLOGY, counters, [2], None)}
    assert kinds == {
        "kernel": 1024 - 700 - 100 - 50 - 3 - 4 - 4 - 20,
        "cache": 30,
        "hugetlb_2048kB": 8,
        "page_tables": 4,
        "stacks": 4,
        "slab": 3,
    }
    assert list(kinds) == sorted(kinds, key=lambda kind: -kinds[kind])
    assert mapped_bytes(counters, [2], 4096) == 120 * MIB
    assert mapped_bytes(counters, [2, 3], 4096) is None


def test_where_nothing_is_counted_it_is_what_nobody_has() -> None:
    counters = NodeCounters(taken_ns=0, free_bytes={2: 900 * MIB}, vmstat={})
    seen = Survey((held(1, 60, shared=20), held(2, 25, shared=20)), ())
    (rest,) = unmovable(TOPOLOGY, counters, [2], seen)
    assert (rest.kind, rest.bytes) == ("unmapped", (124 - 40 - 5 - 20) * MIB)
    assert unmovable(TOPOLOGY, counters, [2], None) == ()
