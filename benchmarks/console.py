"""How soon the console answers, and what it costs at rest: the real program in a terminal of its own.

    python -m benchmarks.console --json

Keys are pressed at random intervals while two jobs move memory on a simulated machine with 1,000 processes, and a
key has been painted when the screen shows what that key does (``benchmarks.console_keys``). In turns with it, a Textual
app that only counts keys: what machine, terminal and Textual take by themselves. The other figures are of a console
that nobody touches, and of the time from the command to the first picture, in turns with an app that has nothing to
show. A measure is a function of the options that returns figures by name; those of ``MEASURES`` are what there is.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.console_keys import Press, walk
from benchmarks.console_world import CONSOLE, COUNTING_APP, EMPTY_APP, LIVE_CONSOLE, console_on, surroundings
from benchmarks.pairs import ratio, take_turns
from benchmarks.terminal import Screen, Terminal
from numamig.units import format_bytes

__all__ = ["main", "percentile"]

Figures = Mapping[str, float]
BUDGETS = {"key_to_paint_p99_ms": 50.0, "idle_cpu_percent": 5.0, "start_ratio": 1.6}
_LONGEST_S = 30.0


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many percent of all do not exceed (nearest rank)."""
    if not values:
        raise ValueError("of nothing")
    return sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]


def keys(options: argparse.Namespace) -> Figures:
    """From key to paint while jobs run; and memory, when all was seen once."""
    chance = random.Random(options.seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        command = console_on(folder, options.processes, options.moved)
        console = stack.enter_context(Terminal(command, surroundings(folder)))
        counting = stack.enter_context(Terminal(COUNTING_APP, surroundings(folder)))
        console.beside, counting.beside = [counting], [console]
        _start_jobs(console, options.processes)
        counting.until(lambda s: s.find("0 pressed"))
        took: dict[str, list[float]] = {}
        referred: list[float] = []
        presses = walk(chance)
        while (measured := sum(map(len, took.values()))) < options.keys:
            press = next(presses)
            console.watch(chance.uniform(0.02, 0.2))
            paint_s = _paint_s(console, press)
            if paint_s is not None:
                took.setdefault(press.name, []).append(paint_s)
                if measured % 4 == 0:
                    counting.watch(chance.uniform(0.02, 0.2))
                    referred.append(_paint_s(counting, Press("count", "j", _counted)) or 0.0)
        assert console.screen.find("2 running") is not None, "the jobs have ended before the keys"
        resident = console.resident_bytes()
    everything = [paint_s for each in took.values() for paint_s in each]
    return {
        "key_to_paint_p50_ms": 1e3 * percentile(everything, 50),
        "key_to_paint_p99_ms": 1e3 * percentile(everything, 99),
        "key_to_paint_reference_p50_ms": 1e3 * percentile(referred, 50),
        "key_to_paint_reference_p99_ms": 1e3 * percentile(referred, 99),
        "resident_bytes": resident,
        **{f"worst_{name.replace(' ', '_')}_ms": 1e3 * max(each) for name, each in sorted(took.items())},
        **{f"median_{name.replace(' ', '_')}_ms": 1e3 * percentile(each, 50) for name, each in sorted(took.items())},
    }


def idle(options: argparse.Namespace) -> Figures:
    """What a console takes that nobody touches, once it has looked at every process; and an empty app's memory."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        command = console_on(folder, options.idle_processes, options.moved)
        console = stack.enter_context(Terminal(command, surroundings(folder)))
        empty = stack.enter_context(Terminal(EMPTY_APP, surroundings(folder)))
        console.beside, empty.beside = [empty], [console]
        console.until(_lists(options.idle_processes), _LONGEST_S)
        console.watch(options.settle)
        before, before_empty = console.cpu_seconds(), empty.cpu_seconds()
        updates, written = console.screen.updates, console.written_bytes
        console.watch(options.rest)
        took, took_empty = console.cpu_seconds() - before, empty.cpu_seconds() - before_empty
        return {
            "idle_cpu_percent": 100 * took / options.rest,
            "idle_cpu_empty_app_percent": 100 * took_empty / options.rest,
            "idle_updates_per_second": (console.screen.updates - updates) / options.rest,
            "idle_bytes_per_second": (console.written_bytes - written) / options.rest,
            "resident_bytes_idle": console.resident_bytes(),
            "resident_bytes_empty_app": empty.resident_bytes(),
        }


def start(options: argparse.Namespace) -> Figures:
    """From the command to the first picture, as a ratio to an app without anything; and to the list of processes."""
    listed: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        around = surroundings(Path(folder))

        def ours() -> float:
            with Terminal(CONSOLE, around) as console:
                painted_s = console.until(_first_picture)
                listed.append(console.until(lambda s: s.find(" of 13")) - console.began_s)
                return painted_s - console.began_s

        def here() -> float:
            with Terminal(LIVE_CONSOLE, around) as console:
                return console.until(_first_picture) - console.began_s

        def empty() -> float:
            with Terminal(EMPTY_APP, around) as app:
                return app.until(lambda s: s.painted) - app.began_s

        figures = take_turns({"ours": ours, "here": here, "empty": empty}, options.starts)
    return {
        "start_ratio": ratio(figures["ours"], figures["empty"]),
        "start_ratio_this_machine": ratio(figures["here"], figures["empty"]),
        "start_ms": 1e3 * statistics.median(figures["ours"]),
        "start_empty_app_ms": 1e3 * statistics.median(figures["empty"]),
        "start_to_processes_ms": 1e3 * statistics.median(listed),
    }


MEASURES: dict[str, Callable[[argparse.Namespace], Figures]] = {"keys": keys, "idle": idle, "start": start}


def _first_picture(screen: Screen) -> bool:
    """The console's own: title, frame and the first key. Textual's blank screen before it does not count."""
    return all(screen.find(words) is not None for words in ("numamig", "Processes", "quit"))


def _lists(processes: int) -> Callable[[Screen], bool]:
    words = f"{processes:,} of {processes:,}", f"{processes} of {processes}"
    return lambda screen: any(screen.find(each) is not None for each in words)


def _counted(screen: Screen) -> str:
    return screen.line(0).split()[0]


def _start_jobs(console: Terminal, processes: int) -> None:
    """Both large processes go to the node that their threads run on."""
    console.until(_lists(processes), _LONGEST_S)
    console.press("/database")
    console.until(lambda s: s.find("2 of"))
    console.press("\r")
    for number in (1, 2):
        console.watch(1.0)
        console.press("m")
        console.until(lambda s: s.find("to move") and s.find("y run"), _LONGEST_S)
        console.press("y")
        console.until(lambda s, running=f"{number} running": s.find(running), _LONGEST_S)  # type: ignore[misc]
        console.press("j")
    console.press("\x1b")
    console.until(_lists(processes))


def _paint_s(terminal: Terminal, press: Press) -> float | None:
    """From the writing of a key to the end of the update that shows it; None for a key that only leads to the next."""
    if press.mark is None:
        terminal.press(press.keys)
        terminal.watch(0.5)
        return None
    mark = press.mark
    terminal.until(lambda screen: mark(screen) is not None)
    before = mark(terminal.screen)
    pressed_s = terminal.press(press.keys)
    return terminal.until(lambda screen: mark(screen) not in (None, before)) - pressed_s


def _print(figures: Figures) -> None:
    for name, figure in figures.items():
        shown = format_bytes(round(figure)) if name.startswith("resident_bytes") else f"{figure:,.3g}"
        budget = f"   budget {BUDGETS[name]:g}" if name in BUDGETS else ""
        print(f"{name:32} {shown:>10}{budget}")


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    parser.add_argument("--keys", type=int, default=400, help="that are measured (default 400)")
    parser.add_argument("--processes", type=int, default=1000, help="beside the jobs (default 1000)")
    parser.add_argument("--moved", type=int, default=96 << 30, help="bytes that each of two jobs has to move")
    parser.add_argument("--idle-processes", type=int, default=300, help="of the console at rest (default 300)")
    parser.add_argument("--settle", type=float, default=8.0, help="seconds before it counts as at rest (default 8)")
    parser.add_argument("--rest", type=float, default=20.0, help="seconds at rest that are measured (default 20)")
    parser.add_argument("--starts", type=int, default=7, help="of each kind (default 7)")
    parser.add_argument("--seed", type=int, default=1, help="of keys and pauses (default 1)")
    parser.add_argument("--only", choices=list(MEASURES), help="one measure")
    options = parser.parse_args(argv)
    figures: dict[str, float] = {}
    for name, measure in MEASURES.items():
        if options.only in (None, name):
            figures |= measure(options)
    if options.json:
        print(json.dumps({name: float(f"{figure:.4g}") for name, figure in figures.items()}))
    else:
        _print(figures)


if __name__ == "__main__":
    main()
