"""Smaller cases that still go wrong: one-step reductions, the guest's answer to all of them at once, and again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from tests.differential.case import CallSpec, Case

__all__ = ["reductions", "size"]


def size(case: Case) -> int:
    """What shrinking makes smaller."""
    steps = sum(len(area[phase]) for area in case["areas"] for phase in ("steps", "child", "after"))  # type: ignore[literal-required]
    pages = sum(area["pages"].bit_length() for area in case["areas"])
    calls = sum(10 + 2 * len(call["addresses"]) + len(set(call["nodes"] or ())) for call in case["calls"])
    return 20 * len(case["areas"]) + 3 * steps + pages + calls + 5 * case["fork"] + 5 * bool(case["target"]["cpuset"])


def reductions(case: Case, last_call: int) -> Iterator[Case]:
    """Cases that are smaller by one step each, the boldest first; calls after the one that went wrong go at once."""
    if last_call + 1 < len(case["calls"]):
        yield _with(case, calls=case["calls"][: last_call + 1])
        case = _with(case, calls=case["calls"][: last_call + 1])
    calls = case["calls"]
    if len(calls) > 2:
        yield _with(case, calls=calls[len(calls) // 2 :])
    for number in range(len(calls) - 1):
        yield _with(case, calls=calls[:number] + calls[number + 1 :])
    for number in range(len(case["areas"])):
        yield _without_area(case, number)
    if case["fork"]:
        yield _with(case, fork=False)
    if case["target"]["cpuset"]:
        yield _with(case, target={**case["target"], "cpuset": None})
    if case["target"]["user"] != "root":
        yield _with(case, target={**case["target"], "user": "root"})
    for number, call in enumerate(calls):
        for smaller in _smaller_calls(call):
            yield _with(case, calls=[*calls[:number], smaller, *calls[number + 1 :]])
    for number, area in enumerate(case["areas"]):
        for smaller in _smaller_areas(area):
            yield _with(case, areas=[*case["areas"][:number], smaller, *case["areas"][number + 1 :]])


def _with(case: Case, **changes: Any) -> Case:
    smaller: Case = copy.deepcopy({**case, **changes})  # type: ignore[typeddict-item]
    return smaller


def _without_area(case: Case, gone: int) -> Case:
    """Addresses in it go too; later areas move up."""
    calls = []
    for call in case["calls"]:
        keep = [cell for cell, (area, _) in enumerate(call["addresses"]) if area != gone]
        calls.append(_only(call, keep))
        calls[-1]["addresses"] = [[area - (area > gone), offset] for area, offset in calls[-1]["addresses"]]
    areas = [area for number, area in enumerate(case["areas"]) if number != gone]
    return _with(case, areas=areas, calls=calls)


def _only(call: CallSpec, cells: list[int]) -> CallSpec:
    nodes = call["nodes"]
    return {
        **call,
        "addresses": [call["addresses"][cell] for cell in cells],
        "nodes": None if nodes is None else [nodes[cell] for cell in cells],
    }


def _smaller_calls(call: CallSpec) -> Iterator[CallSpec]:
    count = len(call["addresses"])
    cells = list(range(count))
    parts = 2
    while count > 1 and parts <= min(8, count):
        for part in range(parts):
            low, high = part * count // parts, (part + 1) * count // parts
            yield _only(call, cells[:low] + cells[high:])
        parts *= 2
    if 1 < count <= 8:
        for cell in cells:
            yield _only(call, cells[:cell] + cells[cell + 1 :])
    if call["nodes"] and len(set(call["nodes"])) > 1:
        for node in sorted(set(call["nodes"])):
            yield {**call, "nodes": [node] * count}
    if any(offset % 4096 for _, offset in call["addresses"]):
        yield {**call, "addresses": [[area, offset - offset % 4096] for area, offset in call["addresses"]]}


def _smaller_areas(area: Any) -> Iterator[Any]:
    for phase in ("steps", "child", "after"):
        for number in range(len(area[phase])):
            yield {**area, phase: area[phase][:number] + area[phase][number + 1 :]}
        for number, step in enumerate(area[phase]):
            if step[2] > 1 and not area["map"].startswith("hugetlb"):
                smaller = [*step[:2], step[2] // 2, *step[3:]]
                yield {**area, phase: [*area[phase][:number], smaller, *area[phase][number + 1 :]]}
