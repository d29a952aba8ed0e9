"""What must hold between the steps of a profile, looked for in what its file says, whatever that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numamig.replay.schema.steps import MOST_TIMES
from numamig.yamlfile import Location

__all__ = ["MOST_NESTED", "structure_faults"]

MOST_NESTED = 10
"""Blocks of steps inside of each other."""
_Faults = Iterator[tuple[Location, str]]


def structure_faults(data: Any, *, of_each: bool = False, depth: int = 0) -> _Faults:
    """(place, what is wrong there).

    :param of_each: the steps are done for a process that is known
    :param depth: in so many blocks
    """
    yield from _nothing({key: value for key, value in data.items() if key != "variables"}, ())
    yield from _steps(data.get("steps"), ("steps",), of_each, 1, depth)


def _nothing(data: Any, at: Location) -> _Faults:
    """A key without a value is passed over in silence by nobody."""
    if data is None:
        yield at, f"{'.'.join(map(str, at))}: says nothing: give it a value, or leave it out"
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inside:
        yield from _nothing(value, (*at, key if isinstance(key, int) else str(key)))


def _steps(steps: Any, at: Location, of_each: bool, times: int, depth: int) -> _Faults:
    if not isinstance(steps, list):
        return
    if depth >= MOST_NESTED:
        yield at, f"blocks of steps inside of each other, more than {MOST_NESTED}"
        return
    for number, step in enumerate(steps):
        if not isinstance(step, dict):
            continue
        here = (*at, number)
        migrate, undo = step.get("migrate"), step.get("undo")
        if isinstance(migrate, dict) and "process" not in migrate and not of_each:
            yield (
                (*here, "migrate"),
                f"{_words((*here, 'migrate'))}.process is missing (only inside of for_each is it left out)",
            )
        if isinstance(undo, dict):
            yield from _undone(undo.get("step"), steps, number, (*here, "undo", "step"))
        for name in ("repeat", "for_each", "include"):
            block = step.get(name)
            if not isinstance(block, dict):
                continue
            often = times
            if name == "repeat" and isinstance(said := block.get("times"), int) and said > 0:
                often *= said
                if often > MOST_TIMES >= said:
                    yield (
                        (*here, name, "times"),
                        f"with the blocks around it, that is {often:,} times: {MOST_TIMES:,} at most",
                    )
            inside = of_each or name == "for_each"
            if name != "include":  # that of another file is looked at as that file is
                yield from _steps(block.get("steps"), (*here, name, "steps"), inside, often, depth + 1)


def _undone(wanted: Any, steps: list[Any], number: int, at: Location) -> _Faults:
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        return
    if wanted > number:
        before = f"1 to {number} come before it" if number else "none comes before it"
        yield at, f"{_words(at)}: step {wanted} is not done before this one, number {number + 1} of its list ({before})"
    elif not _moves(steps[wanted - 1]):
        yield at, f"{_words(at)}: step {wanted} of this list moves nothing"


def _moves(step: Any) -> bool:
    if not isinstance(step, dict):
        return True
    if "migrate" in step or "include" in step:
        return True
    blocks = (step.get(name) for name in ("repeat", "for_each"))
    return any(_moves(each) for block in blocks if isinstance(block, dict) for each in _list(block.get("steps")))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _words(at: Location) -> str:
    return ".".join(map(str, at))
