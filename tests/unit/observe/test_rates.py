"""Rates from two readings: what grew, and what cannot be told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from numamig.model.topology import NodeCounters
from numamig.observe.rates import Rates, rates_between

SECOND = 10**9


def counters(
    taken_s: float,
    vmstat: dict[str, int] | None = None,
    numastat: dict[int, dict[str, int]] | None = None,
    node_vmstat: dict[int, dict[str, int]] | None = None,
) -> NodeCounters:
    return NodeCounters(
        round(taken_s * SECOND), {0: 0}, vmstat or {}, numastat=numastat or {}, node_vmstat=node_vmstat or {}
    )


def test_per_second_of_the_machine() -> None:
    before = counters(10, {"pgmigrate_success": 1000, "numa_pte_updates": 0, "thp_migration_success": 4, "pgfault": 0})
    after = counters(12, {"pgmigrate_success": 3000, "numa_pte_updates": 1, "thp_migration_success": 4, "pgfault": 9})
    assert rates_between(before, after) == Rates(
        2.0, {}, {"pgmigrate_success": 1000.0, "numa_pte_updates": 0.5, "thp_migration_success": 0.0}
    )


def test_per_second_of_each_node_under_one_kind_of_name() -> None:
    first = {"numa_hit": 100, "local_node": 90, "other_node": 10, "interleave_hit": 0}
    second = {"numa_hit": 150, "local_node": 130, "other_node": 20, "interleave_hit": 0}
    grown = {"numa_hit": 50.0, "numa_local": 40.0, "numa_other": 10.0, "numa_interleave": 0.0}
    assert rates_between(counters(0, None, {3: first}), counters(1, None, {3: second})).by_node == {3: grown}
    vmstat = {"numa_hit": 100, "numa_local": 90, "pgpromote_success": 0, "nr_free_pages": 5, "pgdemote_direct": 1}
    later = {"numa_hit": 150, "numa_local": 130, "pgpromote_success": 8, "nr_free_pages": 9, "pgdemote_direct": 1}
    both = rates_between(counters(0, None, {3: first}, {3: vmstat}), counters(1, None, {3: second}, {3: later}))
    assert both.by_node == {3: grown | {"pgpromote_success": 8.0, "pgdemote_direct": 0.0}}


def test_what_has_gone_is_new_or_has_fallen_has_no_rate() -> None:
    before = counters(0, {"numa_hint_faults": 5, "pgmigrate_fail": 7}, {0: {"numa_hit": 9}, 1: {"numa_hit": 9}})
    after = counters(1, {"pgmigrate_fail": 6, "numa_pages_migrated": 3}, {0: {"numa_hit": 2}, 2: {"numa_hit": 9}})
    assert rates_between(before, after) == Rates(1.0, {0: {}}, {})


def test_without_time_there_are_no_rates() -> None:
    reading = counters(5, {"pgmigrate_success": 1})
    assert rates_between(reading, reading) == Rates()
    assert rates_between(reading, counters(4, {"pgmigrate_success": 2})) == Rates()


NAMES = st.sampled_from(["numa_hit", "pgmigrate_success", "pgdemote_kswapd", "nr_free_pages", "pgfault"])
COUNTS = st.dictionaries(NAMES, st.integers(0, 1 << 64))
BY_NODE = st.dictionaries(st.integers(0, 3), COUNTS)


@given(COUNTS, COUNTS, BY_NODE, BY_NODE, st.integers(1, 1 << 40))
def test_every_rate_is_a_growth_that_both_readings_have(
    first: dict[str, int],
    second: dict[str, int],
    first_nodes: dict[int, dict[str, int]],
    second_nodes: dict[int, dict[str, int]],
    elapsed_ns: int,
) -> None:
    before = NodeCounters(0, {}, first, node_vmstat=first_nodes)
    after = NodeCounters(elapsed_ns, {}, second, node_vmstat=second_nodes)
    rates = rates_between(before, after)
    assert rates.seconds > 0
    assert set(rates.by_node) == first_nodes.keys() & second_nodes.keys()
    pairs = [(rates.machine, first, second)]
    pairs += [(found, first_nodes[node], second_nodes[node]) for node, found in rates.by_node.items()]
    for found, earlier, later in pairs:
        expected = {name for name in earlier.keys() & later.keys() if earlier[name] <= later[name]}
        assert set(found) == expected - {"nr_free_pages", "pgfault"}
        assert all(rate >= 0 for rate in found.values())
