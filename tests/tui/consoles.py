"""A small machine for the console's tests, and what a user sees of it: the text on the screen, line by line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
from textual.app import App
from textual.pilot import Pilot

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import PAGE, Backing, SimNode
from numamig.backends.simulator.process import Caller, SimProcess, SimRegion
from numamig.model.process import RegionKind
from tui.app import NumamigApp
from tui.screens.main import MainScreen

__all__ = ["ANON", "HEAP", "World", "line_with", "main", "press", "screen_lines", "until", "world"]

HEAP, ANON = 0x600000000000, 0x7F0000000000
_DEADLINE_ROUNDS = 1000
_LAYOUT_ROUNDS = 40


class World:
    """The machine, and a back door to the page tables of its processes."""

    def __init__(self, backend: SimulatorBackend) -> None:
        self.backend = backend
        self.heap = Backing.untouched(1024)
        self.anon = Backing.untouched(2048)

    def nodes_of(self, backing: Backing) -> dict[int, int]:
        nodes, counts = np.unique(backing.node, return_counts=True)
        return {int(n): int(c) for n, c in zip(nodes, counts, strict=True)}


def world(*, nodes: int = 3, caller: Caller = Caller(user="dba")) -> World:
    """``db`` (100) runs on node 1: its heap is on node 0, its other memory half on 0 and half on 1.

    ``cache`` (200) runs everywhere with all on node 2; ``tiny`` (300) runs on node 0 and is there.
    The last node has no CPUs. Only ``db`` is yours.
    """
    machine = Machine(
        [SimNode(n, (2 * n, 2 * n + 1) if n < nodes - 1 else (), 1 << 16, 1 << 16, label="DRAM") for n in range(nodes)],
        caller=caller,
        title="testbench",
    )
    made = World(SimulatorBackend(machine))
    machine.place(made.heap, 0, np.zeros(1024, np.uint8))
    machine.place(made.anon, 0, np.repeat(np.array([0, 1], np.uint8), 1024))
    regions = [SimRegion(HEAP, made.heap, RegionKind.HEAP, path="[heap]"), SimRegion(ANON, made.anon)]
    machine.add(SimProcess(100, "db", user="dba", cpu_nodes=(1,), regions=regions))
    cache, tiny = Backing.untouched(512), Backing.untouched(16)
    machine.place(cache, 0, np.full(512, 2, np.uint8))
    machine.place(tiny, 0, np.zeros(16, np.uint8))
    machine.add(
        SimProcess(200, "cache", user="web", cpu_nodes=tuple(range(nodes - 1)), regions=[SimRegion(ANON, cache)])
    )
    machine.add(SimProcess(300, "tiny", user="web", cpu_nodes=(0,), regions=[SimRegion(ANON, tiny)]))
    assert made.anon.node.nbytes * PAGE == 8 << 20
    return made


def main(app: NumamigApp) -> MainScreen:
    """The main screen, under whatever dialog is open."""
    return next(screen for screen in app.screen_stack if isinstance(screen, MainScreen))


def screen_lines(app: NumamigApp) -> list[str]:
    """What is on the screen, without styles."""
    return ["".join(segment.text for segment in strip).rstrip() for strip in app.screen._compositor.render_strips()]


def line_with(app: NumamigApp, text: str) -> str:
    """The first line that holds ``text``; "" if there is none."""
    return next((line for line in screen_lines(app) if text in line), "")


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """Wait for a condition, or fail with the picture that was there instead.

    A dialog that has new lines has its new height a moment later, and nobody sees it in between: nor do tests.
    """
    for _ in range(_DEADLINE_ROUNDS):
        if condition():
            await _laid_out(pilot.app)
            return
        await asyncio.sleep(0.02)
    raise AssertionError("never happened; the screen:\n" + "\n".join(screen_lines(pilot.app)))


async def _laid_out(app: App[Any]) -> None:
    for _ in range(_LAYOUT_ROUNDS):
        await asyncio.sleep(0.005)
        if not app.is_running or not any(each._layout_required for each in app.screen.walk_children(with_self=True)):
            return


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Real keys, one after the other."""
    await pilot.press(*keys)
