"""Kinds of values in a profile, and what is expected of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from numamig.errors import UsageError
from numamig.units import parse_duration, parse_rate, parse_size
from numamig.yamlschema import DURATION, RATE, SHARE, SIZE, written

__all__ = [
    "ONE_KEY",
    "Duration",
    "Limit",
    "NodeId",
    "NodeList",
    "Part",
    "Rate",
    "Share",
    "Size",
    "Strict",
    "Switch",
    "Text",
    "parse_share",
    "parsed",
]

NODES = r"(all|!?\+?\d+(-\d+)?(,\d+(-\d+)?)*)"
"""Pattern of a list of nodes, as numactl writes it."""
_LONGEST = 1000


class Strict(BaseModel):
    """A mapping in which no key is ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


ONE_KEY = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})
"""Of a mapping that says one of several things: what editors are told of it."""


def parsed(parse: Callable[[str], Any], wanted: str = "write a number with a unit") -> BeforeValidator:
    """What is written as a number or a text, and read by ``parse``."""

    def validate(value: object) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(wanted)
        try:
            return parse(str(value))
        except UsageError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


def _or_none(parse: Callable[[str], float]) -> BeforeValidator:
    wanted = "write a number with a unit, or none for no limit"

    def validate(value: object) -> float | None:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(wanted)
        try:
            return None if value == "none" else parse(str(value))
        except UsageError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


def parse_share(text: str) -> float:
    """0 to 1 for ``"90%"``."""
    match = re.fullmatch(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*", text, re.ASCII)
    if match is None or float(match.group(1)) > 100:
        raise UsageError(f"{text[:40]!r} is not a share", hint="write it like 90%, or none for no limit")
    return float(match.group(1)) / 100


def _part(text: str) -> float:
    try:
        return parse_share(text)
    except UsageError as error:
        raise UsageError(error.message, hint="write it like 90%") from None


def _node_list(value: object) -> str:
    if isinstance(value, list) and all(isinstance(part, int) and not isinstance(part, bool) for part in value):
        return ",".join(str(part) for part in value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("write nodes like 0, 0,2-3, all, !1 or [0, 2]")
    return str(value)


def _or(schema: WithJsonSchema, *words: str) -> WithJsonSchema:
    inner = schema.json_schema or {}
    return WithJsonSchema({"anyOf": [inner, {"enum": list(words)}]})


Size = Annotated[int, parsed(parse_size), SIZE]
"""Bytes."""
Rate = Annotated[int, parsed(parse_rate), RATE]
"""Bytes per second."""
Duration = Annotated[int, parsed(parse_duration, "write a number with a unit, like 5ms"), DURATION]
"""Nanoseconds."""
Share = Annotated[float | None, _or_none(parse_share), _or(SHARE, "none")]
"""0 to 1; None: no limit."""
Part = Annotated[float, parsed(_part, "write a share like 90%"), SHARE]
"""0 to 1."""
Limit = Annotated[int | None, _or_none(parse_size), _or(SIZE, "none")]
"""Bytes; None: no limit."""
NodeId = Annotated[int, Field(ge=0, strict=True)]
NodeList = Annotated[
    str,
    BeforeValidator(_node_list),
    WithJsonSchema(
        {
            "anyOf": [
                written(NODES).json_schema,
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            ]
        }
    ),
]
"""As numactl writes it, or as a list of numbers."""
Switch = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(min_length=1, max_length=_LONGEST)]
