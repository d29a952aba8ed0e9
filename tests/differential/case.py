"""What a case is: areas to make, and calls about them; plain data, as it goes to the guest and into kept files."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

__all__ = ["AreaSpec", "AreaTruth", "CallAnswer", "CallSpec", "Case", "Crowd", "Report", "Target"]

Step = list[Any]
"""A method of ``guest.areas.Area``, first page, pages, and for some a node."""


class AreaSpec(TypedDict):
    """One mapping, made by the steps in turn."""

    recipe: str
    """Why it is made: nothing depends on it but the table of coverage."""
    map: Literal[
        "anon", "shared", "memfd", "memfd_private", "file", "hugetlb", "hugetlb_shared", "text", "vdso", "vvar"
    ]
    pages: int
    huge: bool
    """Whether large folios are wanted."""
    steps: list[Step]
    child: list[Step]
    """What a second process does, forked after the steps of all areas."""
    after: list[Step]
    """What the first does after that."""


class CallSpec(TypedDict):
    caller: Literal["root", "root_without_nice", "root_without_ptrace", "nobody"]
    pid: Literal["target", "unused", "zombie", "kernel", "negative"]
    addresses: list[list[int]]
    """[area, offset from its start]; an area of -1 has its start at 0."""
    nodes: list[int] | None
    flags: int


class Target(TypedDict):
    user: Literal["root", "nobody"]
    cpuset: list[int] | None
    """First and last of the one or two nodes that it may have memory on."""


class Crowd(TypedDict):
    node: int
    leave: int
    """Pages."""


class Case(TypedDict):
    id: int
    target: Target
    fork: bool
    crowd: Crowd | None
    """A node without much memory left: where pages are after ENOMEM is nobody's promise."""
    areas: list[AreaSpec]
    calls: list[CallSpec]


class AreaTruth(TypedDict):
    """An area as it was really made, seen through the guest's back door."""

    start: int
    pages: int
    mappings: list[tuple[int, int, str, str]]
    """start, end, permissions, name of the file"""
    placement: str
    """As in ``CallAnswer``."""
    folios: list[tuple[int, int, int, int, list[tuple[int, int]]]]
    """First page, pages, index in the folio, pages of the folio, how often each of the folio's pages is mapped, as
    runs (count, mapcount). Folios of one page make one run where they are mapped equally often."""


CallAnswer = list[Any]
"""Return value, errno, status cells, and the placement of each area afterwards: runs such as ``3x0 1x. 2xz``, a node,
nothing, or the zero page."""


class Report(TypedDict, total=False):
    """What the guest says of one case."""

    case: int
    error: str
    areas: list[AreaTruth]
    calls: list[CallAnswer]
    intact: bool
    """Whether the contents of all pages are what they were before the calls."""
    doubled: int
    """Pages that share their frame with another one of the same area."""
    took: list[float]
    """Seconds in the guest: to make it all, to look, to call, to look again."""
