"""The node cards as text: how full, how short of memory, and what the kernel moves pages for by itself."""

from __future__ import annotations

import pytest
from rich.style import Style
from textual import events

from numamig.model.topology import Node, NodeCounters, Switches, Topology, Watermarks
from tests.tui.consoles import line_with, main, press, screen_lines, until, world
from tui.app import NumamigApp
from tui.style.look import Look
from tui.style.terminal import Colours, Terminal
from tui.threads.snapshots import NodesSeen
from tui.widgets.distances import Distances, distances
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
    return ["".join(text for text, _ in made.line(y, width)).rstrip() for y in range(made.wanted_lines(width, 40))]


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


FOUR = {(0, 1): 21, (0, 2): 21, (0, 3): 24, (1, 2): 21, (1, 3): 24, (2, 3): 31}


def four_nodes() -> Distances:
    """Three alike, and the third two hops from the last."""
    far = {(a, a): 10 for a in range(4)}
    far |= {pair: d for (a, b), d in FOUR.items() for pair in ((a, b), (b, a))}
    return distances(Topology(tuple(Node(n, (n,), MIB, MIB) for n in range(4)), far))


def rows(look: Look) -> list[str]:
    return ["".join(text for text, _ in four_nodes().row(y, look)) for y in range(4)]


def test_without_colours_the_farther_a_node_is_the_denser_is_the_glyph() -> None:
    assert rows(Look(Terminal(Colours.NONE, ascii=False))) == [
        "distance 0  10░21░21▓24",
        "         1 ░21 10░21▓24",
        "         2 ░21░21 10█31",
        "         3 ▓24▓24█31 10",
    ]
    assert rows(Look(Terminal(Colours.SIXTEEN, ascii=True)))[2] == "         2 .21.21 10#31"


@pytest.mark.parametrize("theme", ["dark", "light", "contrast"])
def test_distances_are_greys_the_farther_the_more_they_stand_out(theme: str) -> None:
    look = Look(Terminal(Colours.MANY, ascii=False), theme)
    styles = [style for _, style in four_nodes().row(2, look)[2:]]
    grounds = [style.bgcolor.get_truecolor() if style.bgcolor else None for style in styles]
    near, _, own, farthest = grounds
    assert own is None and near is not None and farthest is not None
    base = look.base.bgcolor
    assert base is not None
    away = [abs(sum(ground) - sum(base.get_truecolor())) for ground in (near, farthest)]
    assert away[0] < away[1] and styles[3].bold and not styles[0].bold
    for ground in (near, farthest):
        assert max(ground) - min(ground) < 40, "grey: colour means node"


def test_distances_that_are_not_known_or_all_alike() -> None:
    two = tuple(Node(n, (n,), MIB, MIB) for n in range(2))
    look = Look(Terminal(Colours.NONE, ascii=False))
    alike = distances(Topology(two, {(0, 0): 10, (1, 1): 10, (0, 1): 120, (1, 0): 120}))
    assert "".join(text for text, _ in alike.row(0, look)) == "distance 0   10▒120"
    silent = distances(Topology(two, {(0, 0): 10}))
    assert [text for text, _ in silent.row(0, look)][2:] == [" 10", "  -"]
    assert silent.row(0, look)[3][1] == look.dim != Style()


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("nodes", [5, 8, 16, 64])
async def test_many_nodes_have_a_line_each_or_columns_and_none_is_lost(nodes: int, size: tuple[int, int]) -> None:
    app = NumamigApp(world(nodes=nodes).backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: line_with(app, " db ") and main(app).nodes.seen is not None)
        await pilot.pause()
        cards = main(app).nodes
        assert cards.size.height <= size[1] // 4 or cards.size.height == nodes
        assert all(len(line) <= size[0] for line in screen_lines(app))
        top = screen_lines(app)[1 : 1 + cards.size.height]
        assert "  3%" in top[0], "how full the first is"
        hidden = sum(int(line.rpartition("+")[2].split()[0]) for line in top if line.endswith(" more"))
        assert sum(line.count("%") for line in top) + hidden == nodes
        await press(pilot, "number_sign", *str(nodes - 1), "enter")
        await until(pilot, lambda: main(app).spot == nodes - 1)
        await pilot.pause()
        top = screen_lines(app)[1 : 1 + cards.size.height]
        assert any("10" in line for line in top), "its distance to itself"
        if hidden:
            assert f"of {nodes}" in top[-1], "which are in view"
            assert top[-1].count("%") + top[-2].count("%") and not any(" more" in line for line in top)


async def test_the_wheel_brings_more_nodes() -> None:
    app = NumamigApp(world(nodes=64).backend, speed=1000.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: line_with(app, "+35 more"))
        await pilot._post_mouse_events([events.MouseScrollDown], widget=main(app).nodes, offset=(1, 1))
        await until(pilot, lambda: line_with(app, "6-34 of 64") and not line_with(app, "+35 more"))
        await pilot.click("#nodes", offset=(17, 0))
        await until(pilot, lambda: main(app).spot == 6)
