"""What a profile expects to have come of it."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, field_validator, model_validator

from numamig.model.outcome import Outcome
from numamig.replay.schema.fields import Strict
from numamig.yamlschema import written

__all__ = ["Bound", "Expect"]

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = r"\s*(>=|<=|==|>|<)\s*(\d{1,15}(?:\.\d{1,15})?)\s*(%?)\s*"


class Bound(Strict):
    """A comparison such as ">= 95%"."""

    text: str

    def holds(self, part: float, whole: float) -> bool:
        """Whether ``part`` (a count), or its share of ``whole`` where the bound is in percent, fits."""
        sign, number, percent = _split_bound(self.text)
        value = (100 * part / whole if whole else 0.0) if percent else part
        return _COMPARISONS[sign](value, number)

    @property
    def in_percent(self) -> bool:
        return self.text.endswith("%")


def _split_bound(text: str) -> tuple[str, float, bool]:
    match = re.fullmatch(_BOUND, text, re.ASCII)
    if match is None:
        raise ValueError('write a comparison like ">= 95%" or "== 0"')
    return match.group(1), float(match.group(2)), bool(match.group(3))


def _bound(value: object) -> object:
    if isinstance(value, Bound):
        return value
    text = str(value)
    _split_bound(text)
    return Bound(text=text.strip())


ABound = Annotated[Bound | None, BeforeValidator(_bound), written(_BOUND, number=None)]


class Expect(Strict):
    """Bounds that must hold after the migrations so far: outcomes in pages or percent of those chosen; placement."""

    chosen: Annotated[
        Bound | None, BeforeValidator(_bound), written(r"\s*(>=|<=|==|>|<)\s*\d{1,15}\s*", number=None)
    ] = None
    """How many pages were meant in all: a number, as the others are shares of it."""
    moved: ABound = None
    already_there: ABound = None
    busy: ABound = None
    shared: ABound = None
    absent: ABound = None
    unmapped: ABound = None
    hinted: ABound = None
    no_room: ABound = None
    refused: ABound = None
    gone: ABound = None
    not_tried: ABound = None
    remote: ABound = None
    """Memory of the migrated processes that is not on the nodes their threads run on."""
    in_place: ABound = None
    """Of the pages that were moved and are present: those that are still where they were moved to."""

    @field_validator("chosen")
    @classmethod
    def _is_a_number(cls, value: Bound | None) -> Bound | None:
        if value is not None and value.in_percent:
            raise ValueError('is a number of pages, like "<= 200000": all the others are shares of it')
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Expect:
        if not self.bounds():
            raise ValueError('say what is expected, like moved: ">= 95%"')
        return self

    def bounds(self) -> dict[str, Bound]:
        """Those that are given, by name."""
        given = {name: getattr(self, name) for name in ("chosen", *(o.key for o in Outcome), "remote", "in_place")}
        return {name: bound for name, bound in given.items() if bound is not None}
