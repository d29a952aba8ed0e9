"""Cases at random, from a seed: pure, so that a number names a case for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from tests.differential.case import AreaSpec, CallSpec, Case
from tests.differential.recipes import FOUND, RECIPES, SHARING, area

__all__ = ["CALLS_PER_CASE", "cases", "crowded_cases", "make_case"]

PAGE = 4096
NODES = (0, 1, 2)
CALLS_PER_CASE = 12
MOST_ADDRESSES = 64
_WEIGHTS = {"touched": 5, "mixed": 4, "copied_on_write": 3, "shared": 3, "huge": 2, "large": 2, "pinned": 2}
_LEFT = 3072  # pages of a crowded node: some hundreds of them nobody gets, watermarks and reserves of the kernel's own
_BAD_NODES = (-1, 3, 17, 1023, 1024, 1 << 20, -(1 << 31))
_BAD_FLAGS = (1, 3, 8, 6 | 16, -1)


def cases(seed: int, calls: int) -> Iterator[Case]:
    """As many cases as it takes for so many calls."""
    for number in range(-(-calls // CALLS_PER_CASE)):
        yield make_case(seed, number)


def crowded_cases(seed: int, count: int) -> Iterator[Case]:
    """Cases in which a node has little memory left: one call that fits, and one that asks for more than there is."""
    for number in range(count):
        r = Random(f"{seed}/crowded/{number}")
        target, sources = 2, [0, 1]
        few, many = r.choice((16, 64, 256)), r.choice((5120, 6000, 7168))
        areas = [area(r, "touched", sources, fork=False) for _ in range(2)]
        for spec, pages in zip(areas, (few, many), strict=True):
            spec["pages"], spec["steps"] = pages, [["write", 0, pages, r.choice(sources)]]
        calls: list[CallSpec] = [
            {
                "caller": "root",
                "pid": "target",
                "addresses": [[number, page * PAGE] for page in range(spec["pages"])],
                "nodes": [target] * spec["pages"],
                "flags": r.choice((2, 4)),
            }
            for number, spec in enumerate(areas)
        ]
        yield {
            "id": -1 - number,
            "target": {"user": "root", "cpuset": None},
            "fork": False,
            "crowd": {"node": target, "leave": _LEFT},
            "areas": areas,
            "calls": calls,
        }


def make_case(seed: int, number: int) -> Case:
    r = Random(f"{seed}/{number}")
    confined = r.choice(([0, 1], [0, 2], [1, 2], [1, 1])) if r.random() < 0.15 else None
    nodes = sorted(set(confined)) if confined else list(NODES)
    fork = r.random() < 0.4
    names = list(RECIPES) if fork else [name for name in RECIPES if name not in SHARING]
    weights = [_WEIGHTS.get(name, 1) for name in names]
    chosen = r.choices(names, weights, k=r.choice((1, 2, 2, 3, 4)))
    if fork:
        chosen[0] = r.choice(SHARING)
    # What every process has it has once.
    chosen = [name for at, name in enumerate(chosen) if name not in FOUND or name not in chosen[:at]]
    areas = [area(r, name, nodes, fork) for name in chosen]
    user = "nobody" if r.random() < 0.1 else "root"
    return {
        "id": number,
        "target": {"user": user, "cpuset": confined},  # type: ignore[typeddict-item]
        "fork": fork,
        "crowd": None,
        "areas": areas,
        "calls": [_call(r, areas, user) for _ in range(CALLS_PER_CASE)],
    }


def _call(r: Random, areas: Sequence[AreaSpec], user: str) -> CallSpec:
    addresses = _addresses(r, areas)
    call: CallSpec = {
        "caller": "root",
        "pid": "target",
        "addresses": addresses,
        "nodes": None if r.random() < 0.3 else _nodes(r, len(addresses)),
        "flags": r.choices((2, 4, 0, 6), (10, 8, 1, 1))[0],
    }
    if user == "nobody" and r.random() < 0.5:
        call["caller"] = "nobody"
    if r.random() < 0.08:
        call["caller"] = r.choice(("root_without_nice", "root_without_ptrace", "nobody"))
    if r.random() < 0.03:
        call["flags"] = r.choice(_BAD_FLAGS)
    if r.random() < 0.03:
        call["pid"] = r.choice(("unused", "zombie", "kernel", "negative"))
    return call


def _addresses(r: Random, areas: Sequence[AreaSpec]) -> list[list[int]]:
    """[area, offset] in an order that may be anything."""
    if r.random() < 0.02:
        return []
    wanted = r.choice((1, 2, 4, 8, 16, 32, MOST_ADDRESSES))
    found: list[list[int]] = []
    while len(found) < wanted:
        number = r.randrange(len(areas))
        found += [[number, page * PAGE] for page in _some_pages(r, areas[number])[: wanted - len(found)]]
    arrangement = r.random()
    if arrangement < 0.15:
        r.shuffle(found)
    elif arrangement < 0.35:
        found.sort()
    elif arrangement < 0.45:
        found = [*found, *r.choices(found, k=len(found) // 4 + 1)]
    elif arrangement < 0.5:
        found = sorted([*found, *found])
    if r.random() < 0.15:
        found = [[number, offset + r.randrange(PAGE)] for number, offset in found]
    for _ in range(r.choice((0, 0, 0, 1, 3))):
        found.insert(r.randrange(len(found) + 1), _junk(r, areas))
    return found


def _some_pages(r: Random, spec: AreaSpec) -> list[int]:
    """Pages of one area; of large folios, their beginnings more often than other pages."""
    pages = 32 if spec["recipe"] in FOUND else spec["pages"]
    how = r.random()
    if spec["huge"] or spec["map"].startswith("hugetlb"):
        step = 512 if pages >= 512 else 16
        heads = list(range(0, pages, step))
        if how < 0.4:
            return heads
        if how < 0.6:
            return [head + r.randrange(min(step, pages - head)) for head in heads]
        if how < 0.8:
            at = r.randrange(pages)
            return list(range(at, min(pages, at + r.choice((1, 2, 5)))))
        return sorted(r.randrange(pages) for _ in range(r.choice((2, 6, 12))))
    if how < 0.5:
        return list(range(pages))
    if how < 0.75:
        first = r.randrange(pages)
        return list(range(first, r.randint(first, pages) + 1))[: pages - first]
    if how < 0.85:
        return list(range(0, pages, r.choice((2, 3))))
    return [r.randrange(pages) for _ in range(r.randint(1, pages))]


def _junk(r: Random, areas: Sequence[AreaSpec]) -> list[int]:
    number = r.randrange(len(areas))
    return r.choice(
        (
            [-1, 0],
            [-1, PAGE],
            [-1, (1 << 47) - PAGE],
            [-1, 1 << 47],
            [-1, 1 << 63],
            [-1, (1 << 64) - PAGE],
            [-1, (1 << 64) - 1],
            [number, -1],
            [number, areas[number]["pages"] * PAGE],
            [number, (areas[number]["pages"] + 600) * PAGE],
        )
    )


def _nodes(r: Random, count: int) -> list[int]:
    """Targets: all alike, in stretches, or each its own; seldom one that is refused."""
    how = r.random()
    if how < 0.5:
        nodes = [r.choice(NODES)] * count
    elif how < 0.8:
        nodes = []
        while len(nodes) < count:
            nodes += [r.choice(NODES)] * r.choice((1, 2, 5, 16))
        nodes = nodes[:count]
    else:
        nodes = [r.choice(NODES) for _ in range(count)]
    if nodes and r.random() < 0.1:
        nodes[r.randrange(count)] = r.choice(_BAD_NODES)
    return nodes
