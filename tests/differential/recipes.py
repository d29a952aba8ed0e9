"""Areas at random: what kinds of memory a process may have. Pure functions of a random stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

from tests.differential.case import AreaSpec, Step

__all__ = ["FOUND", "RECIPES", "SHARING", "area"]

FOLIO = 512
"""Base pages of a huge page."""


def area(r: Random, recipe: str, nodes: Sequence[int], fork: bool) -> AreaSpec:
    """One area of a recipe, on nodes that the process may use."""
    spec = RECIPES[recipe](r, nodes)
    spec["recipe"] = recipe
    if fork and recipe not in SHARING and recipe not in FOUND:
        spec["child"] = [["unmap", 0, spec["pages"]]]
    return spec


def _spec(map_: str, pages: int, steps: list[Step], *, huge: bool = False) -> AreaSpec:
    return {"recipe": "", "map": map_, "pages": pages, "huge": huge, "steps": steps, "child": [], "after": []}  # type: ignore[typeddict-item]


def _pages(r: Random) -> int:
    return r.choice((1, 2, 4, 8, 16, 16, 32, 48))


def _part(r: Random, pages: int) -> tuple[int, int]:
    """First and count of a stretch; seldom all of it."""
    first = r.randrange(pages)
    return first, r.randint(1, pages - first)


def _stretches(r: Random, pages: int, most: int = 4) -> list[tuple[int, int]]:
    cuts = sorted({0, pages, *(r.randrange(pages) for _ in range(r.randrange(most)))})
    return [(low, high - low) for low, high in pairwise(cuts)]


def _written(r: Random, nodes: Sequence[int], pages: int, name: str = "write") -> list[Step]:
    return [[name, first, count, r.choice(nodes)] for first, count in _stretches(r, pages)]


def touched(r: Random, nodes: Sequence[int]) -> AreaSpec:
    return _spec("anon", pages := _pages(r), _written(r, nodes, pages))


def untouched(r: Random, nodes: Sequence[int]) -> AreaSpec:
    return _spec("anon", _pages(r), [])


def read(r: Random, nodes: Sequence[int]) -> AreaSpec:
    return _spec("anon", pages := _pages(r), [["read", *part, r.choice(nodes)] for part in [_part(r, pages)]])


def mixed(r: Random, nodes: Sequence[int]) -> AreaSpec:
    pages, steps = _pages(r), []
    for first, count in _stretches(r, pages, 8):
        if name := r.choice(("write", "write", "read", "")):
            steps.append([name, first, count, r.choice(nodes)])
    return _spec("anon", pages, steps)


def dropped(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = touched(r, nodes)
    spec["steps"] += [["drop", *_part(r, spec["pages"])]]
    return spec


def protected(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = r.choice((touched, mixed))(r, nodes)
    spec["steps"] += [["protect", *_part(r, spec["pages"])]]
    return spec


def locked(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = touched(r, nodes)
    spec["steps"] += [["lock", *_part(r, spec["pages"])]]
    return spec


def holes(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = touched(r, nodes)
    spec["pages"] += 2
    spec["steps"] += [["unmap", *_part(r, spec["pages"])]]
    return spec


def pinned(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = touched(r, nodes)
    spec["steps"] += [["pin", page, 1] for page in sorted(r.sample(range(spec["pages"]), min(spec["pages"], 2)))]
    return spec


def shared(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = _spec(r.choice(("shared", "memfd")), pages := _pages(r), _written(r, nodes, pages))
    if r.random() < 0.3:
        spec["steps"] += [["drop", *_part(r, pages)]]
    spec["child"] = r.choice(([], [["read", *_part(r, pages), r.choice(nodes)]], [["unmap", 0, pages]]))
    return spec


def copied_on_write(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = mixed(r, nodes)
    pages = spec["pages"]
    for phase in ("child", "after"):
        if name := r.choice(("write", "drop", "unmap" if phase == "child" else "write", "protect", "", "")):
            node = [r.choice(nodes)] if name == "write" else []
            spec[phase] = [[name, *_part(r, pages), *node]]  # type: ignore[literal-required]
    return spec


def file_shared(r: Random, nodes: Sequence[int]) -> AreaSpec:
    pages, steps = _pages(r), []
    for first, count in _stretches(r, pages, 6):
        if name := r.choice(("write", "read", "fill", "")):
            steps.append([name, first, count, r.choice(nodes)])
    return _spec("memfd", pages, steps)


def file_private(r: Random, nodes: Sequence[int]) -> AreaSpec:
    pages, steps = _pages(r), []
    steps += _written(r, nodes, pages, "fill")
    for first, count in _stretches(r, pages, 6):
        if name := r.choice(("write", "read", "")):
            steps.append([name, first, count, r.choice(nodes)])
    return _spec("memfd_private", pages, steps)


def file_on_disk(r: Random, nodes: Sequence[int]) -> AreaSpec:
    pages, steps = _pages(r), []
    for first, count in _stretches(r, pages, 4):
        if name := r.choice(("write", "read", "read", "")):
            steps.append([name, first, count, r.choice(nodes)])
    return _spec("file", pages, steps)


def huge(r: Random, nodes: Sequence[int]) -> AreaSpec:
    folios = r.choice((1, 1, 2))
    steps = [["write", number * FOLIO, FOLIO, r.choice(nodes)] for number in range(folios)]
    return _spec("anon", folios * FOLIO, steps, huge=True)


def huge_read(r: Random, nodes: Sequence[int]) -> AreaSpec:
    return _spec("anon", FOLIO, [["read", 0, 1, r.choice(nodes)]], huge=True)


def huge_untouched(r: Random, nodes: Sequence[int]) -> AreaSpec:
    return _spec("anon", FOLIO, [], huge=True)


def huge_dropped(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = huge(r, nodes)
    spec["steps"] += [[r.choice(("drop", "drop", "unmap")), *_part(r, spec["pages"])]]
    return spec


def huge_protected(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = r.choice((huge, huge, huge_read))(r, nodes)
    spec["steps"] += [["protect", *r.choice(((0, spec["pages"]), _part(r, spec["pages"])))]]
    return spec


def huge_locked(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = huge(r, nodes)
    spec["steps"] += [["lock", *r.choice(((0, spec["pages"]), _part(r, spec["pages"])))]]
    return spec


def huge_pinned(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = huge(r, nodes)
    spec["steps"] += [["pin", r.randrange(spec["pages"]), 1]]
    return spec


def huge_copied(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = huge(r, nodes)
    spec["child"] = r.choice(([], [["unmap", *_part(r, spec["pages"])]], [["drop", *_part(r, spec["pages"])]]))
    return spec


def large(r: Random, nodes: Sequence[int]) -> AreaSpec:
    """Folios of 64 KiB where the kernel has them."""
    folios = r.choice((1, 2, 3))
    steps: list[Step] = [["write", number * 16, 16, r.choice(nodes)] for number in range(folios)]
    return _spec("anon", folios * 16, steps, huge=True)


def large_dropped(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = large(r, nodes)
    spec["steps"] += [["drop", *_part(r, spec["pages"])]]
    return spec


def large_pinned(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = large(r, nodes)
    spec["steps"] += [["pin", r.randrange(spec["pages"]), 1]]
    return spec


def large_copied(r: Random, nodes: Sequence[int]) -> AreaSpec:
    spec = large(r, nodes)
    spec["child"] = r.choice(([], [["unmap", *_part(r, spec["pages"])]], [["drop", *_part(r, spec["pages"])]]))
    return spec


def pool(r: Random, nodes: Sequence[int]) -> AreaSpec:
    folios = r.choice((1, 2, 3))
    steps: list[Step] = [["write", n * FOLIO, 1, r.choice(nodes)] for n in range(folios) if r.random() < 0.8]
    spec = _spec(r.choice(("hugetlb", "hugetlb_shared")), folios * FOLIO, steps)
    if r.random() < 0.2:
        spec["steps"] += [["protect", r.randrange(folios) * FOLIO, FOLIO]]
    return spec


def pool_shared(r: Random, nodes: Sequence[int]) -> AreaSpec:
    folios = r.choice((1, 2))
    steps: list[Step] = [["write", n * FOLIO, 1, r.choice(nodes)] for n in range(folios)]
    spec = _spec(r.choice(("hugetlb", "hugetlb_shared")), folios * FOLIO, steps)
    if spec["map"] == "hugetlb_shared":
        spec["child"] = [["read", n * FOLIO, 1, nodes[0]] for n in range(folios)]
    return spec


def _found(map_: str) -> Callable[[Random, Sequence[int]], AreaSpec]:
    return lambda r, nodes: _spec(map_, 32, [])


FOUND = ("text", "vdso", "vvar")
"""Recipes of memory that every process has: offsets wrap around at its end."""
SHARING = ("shared", "copied_on_write", "huge_copied", "large_copied", "pool_shared")
"""Recipes for which a second process matters; in others it lets go of the area."""
RECIPES: dict[str, Callable[[Random, Sequence[int]], AreaSpec]] = {
    f.__name__: f
    for f in (
        touched,
        untouched,
        read,
        mixed,
        dropped,
        protected,
        locked,
        holes,
        pinned,
        shared,
        copied_on_write,
        file_shared,
        file_private,
        file_on_disk,
        huge,
        huge_read,
        huge_untouched,
        huge_dropped,
        huge_protected,
        huge_locked,
        huge_pinned,
        huge_copied,
        large,
        large_dropped,
        large_pinned,
        large_copied,
        pool,
        pool_shared,
    )
} | {name: _found(name) for name in FOUND}
