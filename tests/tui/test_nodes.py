"""The node cards as text: how full, how short of memory, and what the kernel moves pages for by itself."""

from __future__ import annotations

import pytest

from numamig.model.topology import Node, NodeCounters, Switches, Topology, Watermarks
from tui.style.look import Look
from tui.style.terminal import Colours, Terminal
from tui.threads.snapshots import NodesSeen
from tui.widgets.nodes import NodeCards

MIB = 1 << 20
MARKS = Watermarks(10 * MIB, 20 * MIB, 30 * MIB)


def cards(*free_mib: int, only_ascii: bool = False, small: bool = False, switches: Switches = Switches()) -> NodeCards:
    """Nodes of 1 GiB with so much free memory, each with the same watermarks."""
    nodes = tuple(Node(n, (n,), 1024 * MIB, free * MIB, label="DRAM") for n, free in enumerate(free_mib))
    distances = {(a, b): 10 if a == b else 20 for a in range(len(nodes)) for b in range(len(nodes))}
    free = {node.id: node.free_bytes for node in nodes}
    counters = NodeCounters(0, free, {}, watermarks=dict.fromkeys(free, MARKS), switches=switches)
    made = NodeCards(Look(Terminal(Colours.NONE, ascii=only_ascii)))
    made.seen, made.small = NodesSeen(Topology(nodes, distances), counters, 0.0), small
    return made


def lines(made: NodeCards, width: int) -> list[str]:
    return ["".join(text for text, _ in made.line(y, width)).rstrip() for y in range(made.wanted_lines(width))]


def test_a_node_below_its_low_watermark_has_two_marks_and_words() -> None:
    assert lines(cards(512, 90, 19, 9), 96) == [
        " 0  cpu 0  DRAM          1  cpu 1  DRAM          2  cpu 2  DRAM          3  cpu 3  DRAM",
        "████████········  50%   ██████████████▋·  91% ▲ ███████████████▊  98%▲▲ ███████████████▉  99%▲▲",
        "512.0M of 1G used       934.0M of 1G used       1005M of 1G below low   1015M of 1G below min",
        "idle                    idle                    idle                    idle",
    ]
    assert lines(cards(512, 90, 19, 9, small=True), 60) == [
        " 0 ██▌·· 50%    1 ████▌ 91% ▲  2 ████▉ 98%▲▲  3 █████ 99%▲▲",
        " 512/1G cpu 0   934/1G cpu 1   1005/1G <low   1015/1G <min",
    ]
    assert lines(cards(19, only_ascii=True), 30)[1] == "###############-  98%^^"


@pytest.mark.parametrize(
    ("switches", "nodes", "said"),
    [
        (Switches(1, True), 2, ["balancing on", "demotion on"]),
        (Switches(2, True), 3, ["balancing, demotion"]),
        (Switches(0, True), 3, ["demotion on"]),
        (Switches(0, False), 3, [""]),
        (Switches(None, None), 3, [""]),
    ],
)
def test_what_the_kernel_does_by_itself_is_below_the_distances(switches: Switches, nodes: int, said: list[str]) -> None:
    shown = lines(cards(*[512] * nodes, switches=switches), 120)
    matrix = 11 + 3 * nodes
    assert [line.ljust(120)[-matrix:].rstrip() for line in shown[nodes:]] == said
