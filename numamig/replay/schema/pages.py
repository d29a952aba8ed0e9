"""Which pages of a process a profile means, and in which order they move."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from numamig.errors import UsageError
from numamig.migrate.order_mode import Heat, Order, OrderMode
from numamig.model.pages import Ranges
from numamig.model.process import RegionKind
from numamig.replay.schema.fields import NodeList, Part, Size, Strict, Switch, Text, parse_share
from numamig.units import parse_address, parse_size
from numamig.yamlschema import Also, written

__all__ = ["AnOrder", "HeatBounds", "OrderSettings", "PageSelector"]

_Kind = Literal["anon", "heap", "stack", "file", "shmem", "hugetlb"]
_KINDS = list(get_args(_Kind))
_ADDRESS = r"\s*(0x)?[0-9a-fA-F]+-(0x)?[0-9a-fA-F]+\s*"
_HIGHEST = 1 << 64


def _or_list(*patterns: str) -> WithJsonSchema:
    one: dict[str, Any] = {"type": "string"} if not patterns else {"type": "string", "pattern": f"^{patterns[0]}$"}
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _kinds(value: object) -> object:
    kinds = _listed(value)
    if isinstance(kinds, list) and RegionKind.SPECIAL.value in kinds:
        raise ValueError("special regions (vdso and the like) are never moved")
    return kinds


def _range(value: object) -> tuple[int, int]:
    if isinstance(value, tuple):
        return value
    try:
        start, end = parse_address(str(value))
    except UsageError as error:
        raise ValueError(str(error)) from None
    if start < 0 or end > _HIGHEST:
        raise ValueError(f"address range {str(value)[:60]!r} is beyond 64 bits")
    return start, end


class HeatBounds(Strict):
    """How often pages must have been touched, as a share of the times that it was looked at."""

    least: Part = 0.0
    """This share or more."""
    most: Part = 1.0
    """This share or less."""

    @model_validator(mode="after")
    def _not_empty(self) -> HeatBounds:
        if self.least > self.most:
            raise ValueError("least is more than most: no page can be that")
        return self


def _heat(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(>=|<=)\s*(\S+)\s*", value)
    try:
        if match is None:
            raise UsageError(value)
        parse_share(match.group(2))
    except UsageError:
        raise ValueError('write a bound like ">= 50%" or "<= 5%", or {least: 10%, most: 50%}') from None
    return {"least" if match.group(1) == ">=" else "most": match.group(2)}


def _most(value: object) -> object:
    """Pages of a bare number, bytes where there is a unit."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("write a number of pages, or a size like 64MiB")
    try:
        count = parse_size(str(value))
    except UsageError:
        raise ValueError(f"{str(value)[:40]!r} is neither a number of pages nor a size (like 512 or 64MiB)") from None
    if not count:
        raise ValueError("must be more than nothing, like 512 or 64MiB")
    return ("pages" if str(value).strip().isdecimal() else "bytes", count)


class PageSelector(Strict):
    """Which pages of a process; every key that is given must fit."""

    from_: NodeList | None = Field(default=None, alias="from")
    """Nodes that they are on; left out: any but where they should be."""
    kind: Annotated[
        list[_Kind],
        BeforeValidator(_kinds),
        WithJsonSchema({"anyOf": [{"enum": _KINDS}, {"type": "array", "items": {"enum": _KINDS}}]}),
    ] = Field(default_factory=list)
    """Kinds of regions; left out: any. Heap and stack are anon too."""
    path: Annotated[list[Text], BeforeValidator(_listed), _or_list()] = Field(default_factory=list)
    """Patterns of the name of the region, with * and ?: /usr/lib/*, [heap]."""
    address: Annotated[
        list[Annotated[tuple[int, int], BeforeValidator(_range)]], BeforeValidator(_listed), _or_list(_ADDRESS)
    ] = Field(default_factory=list)
    """Ranges of addresses, the end excluded: 0x7f0000000000-0x7f0004000000."""
    at_least: Size = 0
    """Only regions of this size or larger."""
    at_most: Size | None = None
    """Only regions of this size or smaller."""
    huge: Switch | None = None
    """true: only huge pages; false: only base pages; left out: both."""
    heat: Annotated[
        HeatBounds | None,
        BeforeValidator(_heat),
        Also({"type": "string", "pattern": r"^\s*(>=|<=)\s*\d{1,3}(\.\d+)?\s*%\s*$"}),
    ] = None
    """How often they were touched, where the machine tells: ">= 50%" or {least: 10%, most: 50%}."""
    mapped: Literal["any", "shared", "private"] = "any"
    """shared: only pages that other processes map too (they need shared: true); private: only those that none does."""
    most: Annotated[
        tuple[str, int] | None, BeforeValidator(_most), written(r"\s*\d+(\.\d+)?\s*[kmgtKMGT]([iI]?[bB])?\s*", least=1)
    ] = None
    """So many at most: base pages (512), or a size (64MiB)."""

    @field_validator("address")
    @classmethod
    def _ascending(cls, value: list[tuple[int, int]]) -> list[tuple[int, int]]:
        ordered = sorted(value)
        for (_, end), (start, _) in pairwise(ordered):
            if start < end:
                raise ValueError(f"ranges overlap at {start:#x}")
        return ordered

    @model_validator(mode="after")
    def _not_empty(self) -> PageSelector:
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError("at_most is less than at_least: no region can be that")
        return self

    @property
    def kinds(self) -> frozenset[RegionKind]:
        return frozenset(map(RegionKind, self.kind))

    @property
    def within(self) -> Ranges | None:
        """Address ranges, ascending; None: all."""
        return list(self.address) or None

    @property
    def heat_bounds(self) -> Heat | None:
        return None if self.heat is None else Heat(self.heat.least, self.heat.most)

    def most_pages(self, page_size: int) -> int | None:
        """In base pages of so many bytes."""
        if self.most is None:
            return None
        unit, count = self.most
        return count if unit == "pages" else max(1, count // page_size)


def _order(value: object) -> object:
    return {"mode": value} if isinstance(value, str) else value


class OrderSettings(Strict):
    """Which pages move first."""

    mode: OrderMode = OrderMode.ADDRESS
    """By address; the hottest or the coldest first, where the machine tells; or by chance."""
    seed: Annotated[int, Field(strict=True, ge=0, lt=1 << 64)] = 0
    """Of chance: the same seed gives the same order."""

    @field_validator("seed")
    @classmethod
    def _says_something(cls, value: int, info: Any) -> int:
        mode = info.data.get("mode")
        if mode is not None and mode is not OrderMode.RANDOM:
            raise ValueError(f"is for mode: random, not for {mode.value}")
        return value

    def settings(self) -> Order:
        """As the engine takes them."""
        return Order(self.mode, self.seed)


AnOrder = Annotated[OrderSettings, BeforeValidator(_order), Also({"enum": [mode.value for mode in OrderMode]})]
"""A word, or a word with a seed."""
