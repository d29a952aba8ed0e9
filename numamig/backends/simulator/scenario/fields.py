"""Kinds of values in a scenario, what is expected of each, and how a fault is reported at its place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError

from numamig.backends.simulator.memory import ABSENT
from numamig.errors import UsageError
from numamig.model.nodeset import format_nodeset, parse_ranges
from numamig.units import parse_rate, parse_size
from numamig.yamlschema import RATE, SIZE, written

__all__ = [
    "Accesses",
    "BytesPerNs",
    "Count",
    "Cpus",
    "Fault",
    "Nanoseconds",
    "NodeId",
    "Policy",
    "Share",
    "Size",
    "SomeBytes",
    "SomeTime",
    "Strict",
    "Switch",
    "Version",
    "Weight",
    "WeightsByNode",
    "report",
]

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s)\s*")
_IN_NS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_POLICIES = {"bind": "bind", "preferred": "prefer", "interleave": "interleave"}
"""As numactl calls them → as numa_maps does (mm/mempolicy.c ``mpol_to_str``)."""
_LONGEST_NS = 3600 * 10**9
_TIME = written(r"\s*\d+(\.\d+)?\s*(ns|us|µs|ms|s)\s*", number=None)
_RANGES = r"\d+(-\d+)?(,\d+(-\d+)?)*"


class Strict(BaseModel):
    """A mapping in which no key is ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fault(NamedTuple):
    """What is wrong, and at which key."""

    location: tuple[str | int, ...]
    message: str


def report(faults: Iterable[Fault]) -> None:
    """
    :raises ValidationError: there are any; pydantic hands them on, each with its place.
    """
    errors = [
        InitErrorDetails(
            type=PydanticCustomError("scenario", "{message}", {"message": fault.message}), loc=fault.location, input={}
        )
        for fault in faults
    ]
    if errors:
        raise ValidationError.from_exception_data("scenario", errors)


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("write a number with its unit")
    return str(value)


def _parsed(parse: Callable[[str], Any]) -> BeforeValidator:
    def validate(value: object) -> Any:
        try:
            return parse(_text(value))
        except UsageError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


def _some(text: str) -> int:
    if (size := parse_size(text)) == 0:
        raise ValueError("must be more than nothing, like 64MiB")
    return size


def _nanoseconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration (write it like 48ns or 1.5us)")
    duration = float(match.group(1)) * _IN_NS[match.group(2)]
    if duration > _LONGEST_NS:
        raise ValueError("is too long: an hour (3600s) at most")
    return duration


def _some_time(text: str) -> float:
    if (duration := _nanoseconds(text)) == 0:
        raise ValueError("must be more than nothing, like 100ns")
    return duration


def _share(value: object) -> float:
    text = _text(value).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise ValueError(f"{text!r} is not a share (write it like 5% or 0.05, from 0 to 1)")
    return share


def _number(value: object, least: float, what: str) -> float:
    try:
        number = float(_text(value))
    except ValueError:
        number = math.nan
    if not least < number < math.inf:
        raise ValueError(what)
    return number


def _accesses(value: object) -> float | None:
    if value == "endless":
        return None
    return _number(value, 0, "write a number of accesses like 187e6, or endless")


def _version(value: object) -> object:
    if type(value) is not int or value != 1:  # neither true nor 1.0, which are equal to it
        raise ValueError("input should be 1")
    return value


def _by_node(value: object) -> object:
    if isinstance(value, dict):
        report(
            Fault((str(key),), f"write a number of a node, from 0 to {ABSENT - 1}")
            for key in value
            if type(key) is not int or not 0 <= key < ABSENT
        )
    return value


def _policy(value: object) -> str:
    mode, colon, text = str(value).partition(":")
    if mode in ("default", "local") and not colon:
        return mode
    try:
        nodes = parse_ranges(text)
    except ValueError:
        nodes = []
    if not nodes or mode not in _POLICIES or (mode == "preferred" and len(nodes) > 1):
        raise ValueError("write default, local, bind:0, preferred:1 or interleave:0-2")
    return f"{_POLICIES[mode]}:{format_nodeset(nodes)}"


def _cpus(value: object) -> tuple[int, ...]:
    wanted = "write a list of CPUs like 0-15,32"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(wanted)
    try:
        return tuple(parse_ranges(str(value)))
    except ValueError:
        raise ValueError(wanted) from None


Size = Annotated[int, _parsed(parse_size), SIZE]
"""Bytes, from 0."""
SomeBytes = Annotated[int, _parsed(_some), SIZE]
"""Bytes, from 1."""
BytesPerNs = Annotated[float, _parsed(lambda text: parse_rate(text) / 1e9), RATE]
"""A rate such as 400GB/s."""
Nanoseconds = Annotated[float, _parsed(_nanoseconds), _TIME]
"""A duration, fractions and 0 included."""
SomeTime = Annotated[float, _parsed(_some_time), _TIME]
"""A duration of more than nothing, in ns."""
Share = Annotated[float, BeforeValidator(_share), written(r"\d+(\.\d+)?%", number="number")]
"""0 to 1."""
Weight = Annotated[float, BeforeValidator(lambda value: _number(value, 0, "write a weight of more than 0"))]
Accesses = Annotated[
    float | None, BeforeValidator(_accesses), written(r"(endless|\d+(\.\d+)?([eE]\+?\d+)?)", number="number")
]
"""YAML takes 187e6 for a text."""
Count = Annotated[int, Field(strict=True, gt=0, lt=1 << 22)]
Policy = Annotated[
    str,
    BeforeValidator(_policy),
    written(rf"(default|local|preferred:\d+|(bind|interleave):{_RANGES})", number=None),
]
"""NUMA policy of a region, as numa_maps writes it."""
Version = Annotated[int, BeforeValidator(_version), WithJsonSchema({"const": 1})]
NodeId = Annotated[int, Field(strict=True, ge=0, lt=ABSENT)]
WeightsByNode = Annotated[dict[NodeId, Weight], Field(min_length=1), BeforeValidator(_by_node)]
Switch = Annotated[bool, Field(strict=True)]
Cpus = Annotated[tuple[int, ...], BeforeValidator(_cpus), written(_RANGES)]
