"""What is typed to find pages on the map: an address, or a class of pages in a few words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from numamig.errors import UsageError
from numamig.migrate.request import Mapped
from numamig.model.nodeset import format_nodeset, parse_nodeset
from numamig.model.process import Region, RegionKind
from numamig.units import parse_size
from tui.plans.choice import Only

__all__ = ["HOW", "find_text", "read_find"]

HOW = "0x7f30… +64M · node=0 anon heap stack shm file hugetlb huge base shared private path=*pg*"
"""The grammar, in one line."""
_KINDS = {kind.value: kind for kind in RegionKind if kind is not RegionKind.SPECIAL} | {"shm": RegionKind.SHMEM}
_SIZES = {"huge": True, "base": False}
_MAPPED = {"shared": Mapped.SHARED, "private": Mapped.PRIVATE}
_WORDS = (*_KINDS, *_SIZES, *_MAPPED, "node=", "path=")
_ADDRESS = re.compile(r"0x[0-9a-f]{1,16}|(?=[a-f]*\d)[0-9a-f]{6,16}", re.IGNORECASE)
_UNFINISHED = re.compile(r"node=(.*[,!+-])?|path=|0x|\+\d*|[0-9a-f]{1,5}", re.IGNORECASE)


def read_find(text: str, nodes: Sequence[int], region: Region | None, *, typing: bool) -> int | Only:
    """An address to go to, or the class that is meant; of nothing, every page.

    :param nodes: that have memory
    :param region: under the cursor: what ``+64M`` counts from
    :param typing: the last word may still be on its way: then it does not count
    :raises UsageError: something cannot be read, or does not exist
    """
    words = text.split()
    if typing and words and not text[-1:].isspace() and _on_its_way(words[-1]):
        words.pop()
    only = Only()
    for word in words:
        if _ADDRESS.fullmatch(word) or word.startswith("+"):
            if len(words) > 1:
                raise UsageError(f"{word} leads somewhere: it stands alone", hint="or leave it out")
            return _address(word, region)
        only = _narrowed(only, word, nodes)
    return only


def _on_its_way(word: str) -> bool:
    return bool(_UNFINISHED.fullmatch(word)) or any(known.startswith(word) and known != word for known in _WORDS)


def _address(word: str, region: Region | None) -> int:
    if not word.startswith("+"):
        return int(word, 16)
    if region is None:
        raise UsageError(f"{word} counts from a region, and none is under the cursor")
    offset = parse_size(word[1:])
    if offset >= region.size_bytes:
        raise UsageError(f"{word} is beyond the region", hint=f"it has {region.size_bytes >> 10}K")
    return region.start + offset


def _narrowed(only: Only, word: str, nodes: Sequence[int]) -> Only:
    name, equals, value = word.partition("=")
    if equals and name == "node" and only.sources is None:
        return replace(only, sources=parse_nodeset(value, nodes))
    if equals and name == "path" and value:
        pattern = value if any(sign in value for sign in "*?[") else f"*{value}*"
        return replace(only, paths=(*only.paths, pattern))
    if word in _KINDS:
        return replace(only, kinds=only.kinds | {_KINDS[word]})
    if word in _SIZES and only.huge is None:
        return replace(only, huge=_SIZES[word])
    if word in _MAPPED and only.mapped is Mapped.ANY:
        return replace(only, mapped=_MAPPED[word])
    if word in (*_SIZES, *_MAPPED) or (equals and name == "node"):
        raise UsageError(f"{word} says otherwise than before", hint="leave one of the two out")
    near = get_close_matches(word, _WORDS, 1, 0.5)
    hint = f"{near[0]}?" if near else "node=0 anon heap file huge shared path="
    raise UsageError(f"{word!r} is not known", hint=hint)


def find_text(only: Only) -> str:
    """As it is typed."""
    words = [f"node={format_nodeset(only.sources)}"] if only.sources is not None else []
    words += sorted(kind.value for kind in only.kinds)
    words += [word for word, huge in _SIZES.items() if huge is only.huge]
    words += [word for word, mapped in _MAPPED.items() if mapped is only.mapped]
    return " ".join([*words, *(f"path={pattern}" for pattern in only.paths)])
