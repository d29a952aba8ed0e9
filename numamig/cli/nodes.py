"""``numamig nodes``: the machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.table import print_table
from numamig.model.nodeset import format_nodeset
from numamig.model.topology import HugePool, Node, NodeCounters, Switches, Topology
from numamig.units import format_bytes, format_duration, format_percent, format_rate, parse_duration

if TYPE_CHECKING:
    from numamig.observe.rates import Rates

__all__ = ["command"]

_BESIDE = 4
"""Up to so many nodes have their distances beside them; more have a table for that."""
_UNKNOWN = "-"


@numamig_command("nodes")
@click.option("--interval", metavar="TIME", help="Look again after so long: what was counted between, per second: 1s.")
def command(shared: Shared, interval: str | None, as_json: bool) -> None:
    """Nodes of the machine: CPUs, memory and what is kept back of it, tiers, speed, and the distances between them.

    \b
    Examples:
      numamig nodes
      numamig nodes --interval 1s
      numamig nodes --json
      numamig --scenario dram-cxl nodes

    Used is what is not free: the page cache is in it. A tier with a smaller number is faster.
    """
    pause_ns = parse_duration(interval) if interval is not None else None
    backend = shared.open()
    topology, counters = backend.topology(), backend.node_counters()
    rates = None
    if pause_ns is not None:
        from numamig.observe.rates import rates_between

        before = counters
        backend.clock.sleep_ns(pause_ns)
        counters = backend.node_counters()
        rates = rates_between(before, counters)
    if as_json:
        print_json(_as_dict(topology, counters, rates))
        return
    _print_nodes(topology, counters)
    _print_reserves(topology, counters)
    _print_performance(topology.nodes)
    if words := _switch_words(counters.switches):
        click.echo(f"\n{words}")
    if rates is not None:
        _print_rates(rates)
    if len(topology.memory_nodes) == 1:
        click.echo("one memory node: there is nowhere to move pages to (try --backend simulator)", err=True)


def _as_dict(topology: Topology, counters: NodeCounters, rates: Rates | None) -> dict[str, object]:
    distance = topology.distances
    ids = [node.id for node in topology.nodes]
    marks = counters.watermarks
    nodes = [
        {
            "node": node.id,
            "packages": list(node.packages),
            "cpus": list(node.cpus),
            "total_bytes": node.total_bytes,
            "free_bytes": counters.free_bytes.get(node.id, node.free_bytes),
            "tier": node.tier,
            "label": node.label,
            "distances": {str(other): distance[node.id, other] for other in ids if (node.id, other) in distance},
            "performance": dataclasses.asdict(node.performance) if node.performance is not None else None,
            "watermarks": dataclasses.asdict(marks[node.id]) if node.id in marks else None,
            "huge_pools": [dataclasses.asdict(pool) for pool in counters.huge_pools.get(node.id, ())],
            "numastat": dict(counters.numastat.get(node.id, {})),
            "vmstat": dict(counters.node_vmstat.get(node.id, {})),
        }
        for node in topology.nodes
    ]
    return {
        "page_size": topology.page_size,
        "huge_page_size": topology.huge_page_size,
        "nodes": nodes,
        "switches": dataclasses.asdict(counters.switches),
        "vmstat": dict(counters.vmstat),
        "rates": None if rates is None else _rates_as_dict(rates),
    }


def _rates_as_dict(rates: Rates) -> dict[str, object]:
    def rounded(by_name: Mapping[str, float]) -> dict[str, float]:
        return {name: round(rate, 3) for name, rate in by_name.items()}

    return {
        "seconds": rates.seconds,
        "machine": rounded(rates.machine),
        "nodes": {str(node): rounded(by_name) for node, by_name in rates.by_node.items()},
    }


def _print_nodes(topology: Topology, counters: NodeCounters) -> None:
    nodes, distance = topology.nodes, topology.distances
    ids = [node.id for node in nodes]
    with_packages = any(node.packages for node in nodes)
    beside = ids if len(ids) <= _BESIDE else []
    rows = []
    for node in nodes:
        free = counters.free_bytes.get(node.id, node.free_bytes) if node.has_memory else 0
        used = node.total_bytes - free
        rows.append(
            [
                str(node.id),
                *([format_nodeset(node.packages) if node.packages else _UNKNOWN] if with_packages else []),
                format_nodeset(node.cpus) if node.cpus else "no cpu",
                format_bytes(node.total_bytes) if node.has_memory else "no memory",
                format_bytes(used),
                format_percent(used, node.total_bytes),
                format_bytes(free),
                _UNKNOWN if node.tier is None else str(node.tier),
                node.label or _UNKNOWN,
                *(str(distance.get((node.id, other), _UNKNOWN)) for other in beside),
            ]
        )
    package = ["package"] if with_packages else []
    header = ["node", *package, "cpus", "total", "used", "used%", "free", "tier", "kind", *(f"→{n}" for n in beside)]
    print_table(header, rows, left=frozenset({"cpus", "kind"}))
    if not beside:
        rows = [[str(a), *(str(distance.get((a, b), _UNKNOWN)) for b in ids)] for a in ids]
        click.echo()
        print_table(["distance", *(f"→{node}" for node in ids)], rows)


def _print_reserves(topology: Topology, counters: NodeCounters) -> None:
    """What is kept back of the nodes' memory: below the watermarks, and in pools of huge pages."""
    marks = counters.watermarks
    pools = {node: {pool.page_bytes: pool for pool in found} for node, found in counters.huge_pools.items()}
    sizes = sorted({size for found in pools.values() for size, pool in found.items() if pool.total})
    short = {node: marks[node].crossed(free) for node, free in counters.free_bytes.items() if node in marks}
    header = ["node", *(["watermark min", "low", "high"] if marks else [])]
    header += [*(["free is"] if any(short.values()) else []), *(f"{_size(size)} pages free" for size in sizes)]
    if len(header) == 1:
        return
    rows = []
    for node in [node.id for node in topology.nodes if node.has_memory]:
        row = [str(node)]
        if marks:
            mark = marks.get(node)
            row += [_UNKNOWN] * 3 if mark is None else [
                format_bytes(held) for held in (mark.min_bytes, mark.low_bytes, mark.high_bytes)
            ]  # fmt: skip
        if any(short.values()):
            row.append(f"below {short[node]}" if short.get(node) else "enough")
        row += [_pool_words(pools.get(node, {}).get(size)) for size in sizes]
        rows.append(row)
    click.echo()
    print_table(header, rows)


def _size(size: int) -> str:
    return format_bytes(size).replace(".0", "")


def _pool_words(pool: HugePool | None) -> str:
    if pool is None:
        return _UNKNOWN
    extra = f" ({pool.surplus} surplus)" if pool.surplus else ""
    return f"{pool.free:,} of {pool.total:,}{extra}"


def _print_performance(nodes: tuple[Node, ...]) -> None:
    """What the platform promises of each node's memory, to the nodes nearest to it."""
    rows = []
    for node in nodes:
        if (rated := node.performance) is None:
            continue
        latencies = (rated.read_latency_ns, rated.write_latency_ns)
        bandwidths = (rated.read_bandwidth_mib, rated.write_bandwidth_mib)
        rows.append(
            [
                str(node.id),
                format_nodeset(rated.initiators),
                *(_UNKNOWN if latency is None else f"{latency} ns" for latency in latencies),
                *(_UNKNOWN if mib is None else format_rate(mib << 20) for mib in bandwidths),
            ]
        )
    if rows:
        click.echo()
        print_table(["node", "from", "read", "write", "read rate", "write rate"], rows, left=frozenset({"from"}))


def _switch_words(switches: Switches) -> str:
    words = []
    if switches.balancing is not None:
        words.append(f"NUMA balancing {switches.balancing_words}")
    if switches.demotion is not None:
        words.append(f"demotion {'on' if switches.demotion else 'off'}")
    if switches.numastat is False:
        words.append("allocations not counted (vm.numa_stat)")
    return ", ".join(words)


def _print_rates(rates: Rates) -> None:
    """Every counter that grew, on the nodes and on the whole machine."""
    columns = [(f"node {node}", by_name) for node, by_name in rates.by_node.items() if any(by_name.values())]
    columns += [("machine", rates.machine)]
    names = list(dict.fromkeys(name for _, by_name in columns for name, rate in by_name.items() if rate))
    over = format_duration(rates.seconds * 1e9)
    click.echo()
    if not names:
        click.echo(f"nothing was allocated, moved or scanned in {over}")
        return
    rows = [[name, *(_rate(by_name.get(name)) for _, by_name in columns)] for name in sorted(names)]
    first = f"per second, over {over}"
    print_table([first, *(title for title, _ in columns)], rows, left=frozenset({first}))


def _rate(rate: float | None) -> str:
    return _UNKNOWN if rate is None else f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"
