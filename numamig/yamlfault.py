"""What pydantic finds wrong, in the words and at the places of a file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from numamig.errors import Fault

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from numamig.yamlfile import Document, Location

__all__ = ["faults_of"]

_OF_PYDANTIC = frozenset(get_args(ErrorType))
"""Kinds of faults that pydantic finds by itself; others are reported by a model, with a place of its own."""
_LONGEST_SHOWN = 60
_MOST_KNOWN = 12


class _Found(NamedTuple):
    """One thing that pydantic says, and where that is in the file."""

    error: ErrorDetails
    at: Location
    """As much of its place as the file has."""
    form: str | int | None
    """Of a value that may have several forms, which one this is about; None for others."""
    form_at: int
    """How many parts of ``at`` lead to that value."""


def faults_of(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Fault]:
    """Each fault once, at its place; of a value that fits none of several forms, what is closest."""
    found = [_locate(each, document.data) for each in error.errors(include_url=False)]
    said: list[Fault] = []
    for group in _grouped(found):
        first = group[0]
        messages = dict.fromkeys(_describe(each, document, model) for each in group)
        of_key = first.error["type"] == "extra_forbidden" or "[key]" in first.error["loc"][-1:]
        said.append(document.fault(first.at, " or ".join(messages), of_key=of_key))
    return list(dict.fromkeys(said))


def _locate(error: ErrorDetails, data: Any) -> _Found:
    at: list[str | int] = []
    parts = error["loc"]
    for number, part in enumerate(parts):
        there, key = _inside(data, part)
        if there:
            at.append(key)
            data = data[key]
        elif part != "[key]" and error["type"] in _OF_PYDANTIC and (error["type"], part) != ("missing", parts[-1]):
            return _in_form(error, at, data, number)
    return _Found(error, tuple(at), None, 0)


def _inside(data: Any, part: str | int) -> tuple[bool, Any]:
    """Whether data has such a part, and its key as the file has it."""
    if isinstance(data, dict):
        keys = [key for key in data if key == part or str(key) == part]
        return bool(keys), keys[0] if keys else None
    return isinstance(data, list) and isinstance(part, int) and part < len(data), part


def _in_form(error: ErrorDetails, at: list[str | int], data: Any, number: int) -> _Found:
    """That part of its place names one of the forms that a value may have, and is in no file; the rest may be."""
    inner = _locate({**error, "loc": error["loc"][number + 1 :]}, data)
    return _Found(error, (*at, *inner.at), error["loc"][number], len(at))


def _grouped(found: Sequence[_Found]) -> Iterator[list[_Found]]:
    """Faults that are told alone; of several forms, those of the one that was meant, or else of all in one."""
    by_value: dict[Location, list[_Found]] = {}
    for each in found:
        if each.form is None:
            yield [each]
        else:
            by_value.setdefault(each.at[: each.form_at], []).append(each)
    for value, several in by_value.items():
        deepest = max(len(each.at) for each in several)
        if len({each.form for each in several}) == 1:
            yield from ([each] for each in several)
        elif deepest == len(value):
            yield several
        else:
            yield from ([each] for each in several if len(each.at) == deepest)


def _describe(found: _Found, document: Document, model: type[BaseModel]) -> str:
    """One fault in the words of the file."""
    error, at = found.error, found.at
    if found.form is None:
        said = tuple(part for part in error["loc"] if part != "[key]")
    else:
        said = (*at, error["loc"][-1]) if error["type"] == "missing" else at
    where = ".".join(map(str, said)) or "the file"
    if error["type"] == "extra_forbidden":
        return _unknown_key(str(at[-1]), at[:-1], model, document.data)
    if error["type"] == "missing":
        return f"{where} is missing"
    given = error["input"]
    if error["type"] in ("model_type", "dict_type"):
        known = _keys(_models_at(model, at, document.data))
        named = f" with keys such as {', '.join(known[:_MOST_KNOWN])}" if known else ""
        return f"{where}: write a mapping{named}{_not(given, at, document, '')}"
    if error["type"] == "list_type":
        return f"{where}: write a list{_not(given, at, document, '')}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("literal_error", "enum"):
        message = f"{message}{_not(given, at, document, message)}{_near(given, message)}"
    else:
        message += _not(given, at, document, message)
    return f"{where}: {message[:1].lower()}{message[1:]}"


def _not(given: object, at: Location, document: Document, message: str) -> str:
    """What is written there, where the message does not tell it already."""
    written = document.text(at)
    if isinstance(given, dict | list):
        if message:
            return ""
        return ", not a mapping" if isinstance(given, dict) else ", not a list"
    if given is None and written is not None:
        return ", not nothing" if not written else f", not {_short(written)}"
    shown = _short(str(given) if written is None or "${" in written else written)
    of = f" (of {_short(written)})" if written is not None and "${" in written else ""
    return of if shown in message else f", not {shown}{of}"


def _short(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…")


def _near(given: object, message: str) -> str:
    """The nearest of the words that a message names in quotes."""
    near = difflib.get_close_matches(str(given)[:_LONGEST_SHOWN], message.split("'")[1::2], 1)
    return f": did you mean {near[0]!r}?" if near else ""


def _unknown_key(key: str, inside: Location, model: type[BaseModel], data: Any) -> str:
    models = _models_at(model, inside, data)
    known = _keys(models)
    said = f"unknown key {_short(key)}"
    near = difflib.get_close_matches(key[:_LONGEST_SHOWN], known, 1)
    if near:
        return f"{said}: did you mean {near[0]!r}?"
    for each in models:
        for name, info in each.model_fields.items():
            if key in _keys(_models(info.annotation)):
                return f"{said}: it belongs into {info.alias or name!r}, like {info.alias or name}: {{{key}: …}}"
    if inside and key in _keys(_models_at(model, inside[:-1], data)):
        return f"{said}: it belongs beside {inside[-1]!r}, not into it"
    return f"{said}; known here: {', '.join(known)}"


def _keys(models: Sequence[type[BaseModel]]) -> list[str]:
    fields = [field for model in models for field in model.model_fields.items() if not field[1].exclude]
    return sorted({info.alias or name for name, info in fields})


def _models_at(model: type[BaseModel], at: Location, data: Any) -> list[type[BaseModel]]:
    """Models that may describe what is at a place."""
    found = [model]
    for part in at:
        data = data[part]
        if not isinstance(part, int) or isinstance(data, dict | list):
            nested = [m for known in found for m in _models(_annotation(known, part))]
            found = nested or found
        if isinstance(data, dict):
            found = [m for m in found if _may_be(m, data)] or found
    return found


def _may_be(model: type[BaseModel], data: dict[Any, Any]) -> bool:
    """Whether data has what tells this model from others, such as ``kind: balancing``."""
    for name, info in model.model_fields.items():
        key = info.alias or name
        if get_origin(info.annotation) is Literal and key in data and data[key] not in get_args(info.annotation):
            return False
    return True


def _annotation(model: type[BaseModel], part: str | int) -> Any:
    for name, info in model.model_fields.items():
        if part in (name, info.alias):
            return info.annotation
    return None


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Models inside an annotation such as ``list[A | B] | None``, and those made of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation, *annotation.__subclasses__()]
    return [model for part in get_args(annotation) for model in _models(part)]
