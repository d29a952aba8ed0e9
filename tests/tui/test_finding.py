"""Finding pages on the map: an address, a class of pages that stands out and is planned, the next run of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.errors import UsageError
from numamig.migrate.request import Mapped
from numamig.model.process import Region, RegionKind
from numamig.observe.pagemap import Grid
from tests.tui.consoles import ANON, HEAP, line_with, main, press, until, world
from tests.tui.test_picking import at_map, console, moved, on_node
from tui.app import NumamigApp
from tui.pages.picking import find_text, read_find
from tui.pages.seeking import Search, beyond, within_view
from tui.plans.choice import Only

PAGE = 4096
WIDE = (120, 40)
REGION = Region(0x7F0000000000, 0x7F0000100000, RegionKind.ANON, "rw-p")


def read(text: str, *, typing: bool = False) -> int | Only:
    return read_find(text, (0, 1, 2), REGION, typing=typing)


def test_addresses_and_classes_are_read() -> None:
    assert read("0x7f30") == 0x7F30
    assert read("7f0000001000") == REGION.start + PAGE
    assert read("+64K") == REGION.start + (64 << 10)
    assert read("") == Only()
    assert read("node=0 anon heap") == Only((0,), frozenset({RegionKind.ANON, RegionKind.HEAP}))
    assert read("node=0,2 shm base private") == Only(
        (0, 2), frozenset({RegionKind.SHMEM}), huge=False, mapped=Mapped.PRIVATE
    )
    assert read("huge path=pg path=/dev/*") == Only(huge=True, paths=("*pg*", "/dev/*"))
    for text in ("node=1 file huge shared path=*base*", "node=0-2 anon"):
        only = read(text)
        assert isinstance(only, Only) and read(find_text(only)) == only


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("annon", "'annon' is not known: anon?"),
        ("hugetbl", "'hugetbl' is not known: hugetlb?"),
        ("xyzzy", "'xyzzy' is not known: node=0 anon"),
        ("node=7", "node 7 does not exist or has no memory: nodes with memory here: 0-2"),
        ("node=", "node list '' does not parse"),
        ("huge base", "base says otherwise than before"),
        ("+2M", "+2M is beyond the region: it has 1024K"),
        ("+much", "'much' is not a size: write it like 64MiB"),
        ("anon 0x7f0000001000", "0x7f0000001000 leads somewhere: it stands alone"),
    ],
)
def test_what_cannot_be_read_is_said_once_and_clearly(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text)
    assert f"{caught.value.message}: {caught.value.hint}".startswith(words)


@pytest.mark.parametrize("text", ["node=0 an", "node=0 pat", "node=", "node=0,", "path=", "0x", "+", "+6", "7f00"])
def test_a_word_on_its_way_is_no_fault(text: str) -> None:
    assert isinstance(read(text, typing=True), int | Only)
    with pytest.raises(UsageError):
        read("nnode=0 " + text, typing=True)


async def typed(pilot: Pilot[Any], text: str) -> None:
    keys = {" ": "space", "=": "equals_sign", "+": "plus", "/": "slash", "*": "asterisk"}
    await press(pilot, "slash", *(keys.get(char, char) for char in text))


async def test_a_class_stands_out_is_marked_and_only_its_pages_move() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await at_map(pilot)
        await typed(pilot, "node=0 ano")
        await until(pilot, lambda: line_with(app, "on node 0 · exact"))
        await press(pilot, "n", "enter")
        await until(pilot, lambda: line_with(app, "on node 0, anon · exact"))
        await press(pilot, "a")
        await until(pilot, lambda: line_with(app, "2 ranges 12.0M · on node 0, anon"))
        await press(pilot, "space")
        await until(pilot, lambda: line_with(app, "ranges 12.0M") and line_with(app, f"◆ {HEAP + 4 * PAGE:x}"))
        await press(pilot, "m", "2")
        await until(pilot, lambda: line_with(app, "2 ranges of 12.0M, on node 0, anon"))
        await press(pilot, "escape")
        await moved(pilot, "2", 2044)
        assert on_node(made, 0) == list(range(4)) and on_node(made, 1, "anon") == list(range(1024, 2048))
        assert made.nodes_of(made.anon) == {1: 1024, 2: 1024}
        await press(pilot, "escape")
        await until(pilot, lambda: not line_with(app, "ranges") and line_with(app, "on node 0, anon"))
        await press(pilot, "escape")
        await until(pilot, lambda: not line_with(app, "on node 0"))


async def test_what_is_lit_is_what_is_planned() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await at_map(pilot, anon=True)
        await typed(pilot, "heap")
        await press(pilot, "enter")
        await until(pilot, lambda: line_with(app, "heap · exact"))
        lit = main(app).page_map.lit
        assert lit is not None and lit.tolist() == [True] * 256 + [False] * 512
        await moved(pilot, "2", 1024)
        assert made.nodes_of(made.heap) == {2: 1024} and made.nodes_of(made.anon) == {0: 1024, 1: 1024}


async def test_an_address_leads_there_and_a_fault_is_said_on_the_line() -> None:
    app = console(world())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        await press(pilot, "tab", "tab")
        await until(pilot, lambda: line_with(app, "exact"))
        await press(pilot, "slash")
        await until(pilot, lambda: line_with(app, "0x7f30… +64M · node=0 anon heap"))
        await press(pilot, "escape")
        await typed(pilot, "annon ")
        await until(pilot, lambda: line_with(app, "'annon' is not known: anon?"))
        await press(pilot, "enter")
        assert line_with(app, "'annon' is not known: anon?"), "it stays open"
        await press(pilot, "escape")
        await until(pilot, lambda: not line_with(app, "annon"))
        await typed(pilot, f"{ANON + PAGE * 8:x}")
        await press(pilot, "enter")
        await until(pilot, lambda: line_with(app, f"◆ {ANON + PAGE * 8:x}"))
        await typed(pilot, "+1M")
        await press(pilot, "enter")
        await until(pilot, lambda: line_with(app, f"◆ {ANON + (1 << 20):x}"))
        await typed(pilot, "0x123456")
        await press(pilot, "enter")
        await until(pilot, lambda: line_with(app, "0x123456 is in none of its regions"))


async def test_n_goes_from_run_to_run_also_outside_the_view() -> None:
    made = world()
    machine = made.backend.machine
    node = np.repeat(np.array([1], np.uint8), 2048)
    for page in (100, 101, 700, 2047):
        node[page] = 2
    with machine.lock:
        made.heap.node[:] = 1
        made.anon.node[:] = node
    app = console(made)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await at_map(pilot)
        await press(pilot, "plus")
        await until(pilot, lambda: line_with(app, "cell 4K") and line_with(app, "view "))
        await until(pilot, lambda: main(app).page_map.overview is not None)
        for page in (100, 700, 2047):
            await press(pilot, "n")
            await until(pilot, lambda page=page: line_with(app, f"◆ {ANON + page * PAGE:x}"))
        await press(pilot, "n")
        await until(pilot, lambda: line_with(app, "no further remote page"))
        assert line_with(app, f"◆ {ANON + 2047 * PAGE:x}"), "the cursor is where it was"
        for page in (700, 100):
            await press(pilot, "N")
            await until(pilot, lambda page=page: line_with(app, f"◆ {ANON + page * PAGE:x}"))


async def test_a_node_beyond_the_digits_is_put_in_the_spotlight_by_its_number() -> None:
    app = NumamigApp(world(nodes=12).backend, speed=1000.0)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        await press(pilot, "number_sign", "1", "9", "enter")
        await until(pilot, lambda: line_with(app, "there is no node 19: nodes 0-11"))
        await press(pilot, "backspace", "1", "enter")
        await until(pilot, lambda: main(app).spot == 11 and line_with(app, "? help"))
        await press(pilot, "escape")
        assert main(app).spot is None


GAPS = st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(GAPS, st.data())
def test_every_run_is_found_whatever_is_in_view(cells: list[tuple[int, bool, bool]], data: st.DataObject) -> None:
    """A search that sees a few cells at a time finds what one that sees all of them finds."""
    start = np.cumsum([1 + gap for gap, _, _ in cells]).astype(np.uint64) * np.uint64(PAGE)
    found = np.array([holds for _, holds, _ in cells])
    joins = np.append(False, np.diff(start) == PAGE)
    begins = np.flatnonzero(found & ~(joins & np.append(False, found[:-1])))
    at, way = data.draw(st.integers(0, len(cells) - 1)), data.draw(st.sampled_from([1, -1]))
    room = data.draw(st.integers(2, 6))
    ahead = begins[begins > at] if way > 0 else begins[begins < at]
    wanted = None if not len(ahead) else int(start[ahead[0 if way > 0 else -1]])
    here = int(start[at])
    search = Search(way, here + PAGE, bool(found[at]), here) if way > 0 else Search(way, here, False, here)
    nothing_else = found & np.array([full for _, _, full in cells])
    for _ in range(len(cells) + 2):
        near = int(np.searchsorted(start, np.uint64(search.at), side="right")) - 1
        low = max(0, min(near - (0 if way > 0 else room - 1), len(cells) - room))
        view = slice(low, low + room)
        grid = Grid(PAGE, start[view], np.zeros(len(start[view]), np.int32))
        answer = within_view(search, grid, found[view], first=low == 0, last=low + room >= len(cells))
        if isinstance(answer, Search):
            whole = Grid(PAGE, start, np.zeros(len(start), np.int32))
            answer = beyond(answer, whole, found, nothing_else)
        if not isinstance(answer, Search):
            assert answer == wanted
            return
        search = answer
    raise AssertionError("it never ends")


async def test_of_what_is_marked_only_what_is_lit_bears_a_mark() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await at_map(pilot)
        await typed(pilot, "node=1")
        await press(pilot, "enter", "a")
        await until(pilot, lambda: line_with(app, "2 ranges 12.0M · on node 1 · exact"))
        assert "●" not in line_with(app, "    heap ") and "●" not in line_with(app, "  anon 0")
        assert line_with(app, "     +4M ").endswith("1●●●●●●●" * 8)
        await moved(pilot, "0", 1024)
        assert made.nodes_of(made.anon) == {0: 2048} and made.nodes_of(made.heap) == {0: 1024}


async def test_shared_pages_stand_out_as_far_as_the_machine_tells() -> None:
    made = world()
    machine = made.backend.machine
    machine.add(SimProcess(400, "reader", user="dba", cpu_nodes=(0,), regions=[SimRegion(ANON, made.heap)]))
    app = console(made)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await at_map(pilot)
        await typed(pilot, "shared")
        await press(pilot, "enter")
        page_map = main(app).page_map
        await until(pilot, lambda: page_map.lit is not None and page_map.lit.tolist() == [True] * 256 + [False] * 512)
        await typed(pilot, "")
        await press(pilot, "escape")
        await typed(pilot, "private")
        await press(pilot, "enter")
        await until(pilot, lambda: page_map.lit is not None and page_map.lit.tolist() == [False] * 256 + [True] * 512)
        await typed(pilot, " hugetlb")
        await press(pilot, "enter", "a")
        await until(pilot, lambda: line_with(app, "no region can hold pages hugetlb, private"))
