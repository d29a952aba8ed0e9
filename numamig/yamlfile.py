"""YAML files read safely and checked against a pydantic model, with the line of every fault."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from numamig.errors import FileError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

__all__ = ["Document", "parse_yaml", "read_text", "read_yaml"]

_MOST_BYTES = 1 << 20
_MOST_DEPTH = 40
_MOST_VALUES = 20_000
"""And keys. YAML is read at some 20,000 of them a second."""
_LONGEST_NUMBER = 64
"""Characters; of longer ones the time grows with the square, and Python refuses to print them."""
_STRING = "tag:yaml.org,2002:str"
_Location = tuple[str | int, ...]
_Model = TypeVar("_Model", bound="BaseModel")


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and where it says it."""

    path: str
    data: Any
    lines: dict[_Location, int]
    """Key path → line, counted from 1."""

    def line(self, location: _Location) -> int:
        """Line of the innermost part of ``location`` that the file has."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def validate(self, model: type[_Model]) -> _Model:
        """
        :raises FileError: with one line for each fault.
        """
        from pydantic import ValidationError

        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            faults = [(self.line(tuple(e["loc"])), _describe(e, model)) for e in error.errors()]
        raise FileError(self.path, list(dict.fromkeys(faults)))


def read_yaml(path: Path | str) -> Document:
    """Read one YAML document; no tags, no aliases, bounded in size, depth, and values.

    :raises FileError: it cannot be read or parsed.
    """
    return parse_yaml(str(path), read_text(path))


def read_text(path: Path | str) -> bytes:
    """What is in a file of YAML, not larger than such a file may be.

    :raises FileError: it cannot be read.
    """
    name = str(path)
    try:
        with open(path, "rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise FileError(name, [(0, error.strerror or str(error))]) from error
    if len(text) > _MOST_BYTES:
        raise FileError(name, [(0, f"larger than {_MOST_BYTES >> 20} MiB: this is no profile or scenario")])
    return text


def parse_yaml(name: str, text: bytes) -> Document:
    """The same of a text; ``name`` is what messages call it.

    :raises FileError: it cannot be parsed.
    """
    try:
        depth = values = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 0
            values += isinstance(event, yaml.NodeEvent)
            if values > _MOST_VALUES:
                raise FileError(
                    name, [(line, f"more than {_MOST_VALUES:,} keys and values: this is no profile or scenario")]
                )
            tag = getattr(event, "tag", None)  # only where the file writes one
            if tag is not None:
                raise FileError(name, [(line, f"tag {str(tag)[:60]!r} cannot be read: tags are not used here")])
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_DEPTH:
                raise FileError(name, [(line, f"nested deeper than {_MOST_DEPTH} levels")])
            if isinstance(event, yaml.AliasEvent):
                raise FileError(name, [(line, "aliases (*name) are not used here: write the value out")])
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[_Location, int] = {}
        data = None if root is None else _build(root, (), lines, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FileError(name, [(mark.line + 1 if mark else 0, error.problem or "is no YAML")]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FileError(name, [(0, f"is no YAML: {str(error).splitlines()[0]}")]) from error
    if not isinstance(data, dict):
        raise FileError(name, [(1, "must be a mapping of keys to values")])
    return Document(name, data, lines)


def _build(node: yaml.Node, location: _Location, lines: dict[_Location, int], name: str) -> Any:
    """Plain Python values of a node; keys as YAML resolves them."""
    line = node.start_mark.line + 1
    lines.setdefault(location, line)
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = _scalar(key_node, name)
            if key in result:
                raise FileError(name, [(line, f"key {str(key)!r} is there twice")])
            lines[*location, key if isinstance(key, int) else str(key)] = line
            result[key] = _build(value_node, (*location, key if isinstance(key, int) else str(key)), lines, name)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_build(child, (*location, i), lines, name) for i, child in enumerate(node.value)]
    return _scalar(node, name)


def _scalar(node: yaml.Node, name: str) -> Any:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        raise FileError(name, [(line, "a key must be a plain word or number")])
    if node.tag != _STRING and len(node.value) > _LONGEST_NUMBER:
        raise FileError(
            name, [(line, f"{node.value[:20]}… is too long for a number: put quotes around it if it is none")]
        )
    constructor = yaml.SafeLoader("")
    try:
        return constructor.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise FileError(name, [(line, f"{node.value!r} cannot be read: put quotes around it")]) from error
    finally:
        constructor.dispose()


def _describe(error: ErrorDetails, model: type[BaseModel]) -> str:
    """One fault in the words of the file."""
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        known = _known_keys(model, error["loc"][:-1])
        near = difflib.get_close_matches(key, known, 1)
        return f"unknown key {key!r}" + (
            f": did you mean {near[0]!r}?" if near else f"; known here: {', '.join(known)}"
        )
    if error["type"] == "missing":
        return f"{where} is missing"
    message = error["msg"].removeprefix("Value error, ")
    given = error["input"]
    shown = "" if isinstance(given, dict | list) or repr(given) in message else f", not {str(given)[:60]!r}"
    return f"{where}: {message[:1].lower()}{message[1:]}{shown}"


def _known_keys(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Keys that the model knows at a location."""
    from pydantic import BaseModel as Base

    found: list[type[BaseModel]] = [model]
    for part in location:
        if isinstance(part, int):
            continue
        nested = [m for known in found if (f := _field(known, part)) is not None for m in _models(f)]
        found = nested or found
    return sorted({f.alias or name for m in found if issubclass(m, Base) for name, f in m.model_fields.items()})


def _field(model: type[BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return field.annotation
    return None


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Models inside an annotation such as ``list[A | B] | None``, and those made of them."""
    from typing import get_args

    from pydantic import BaseModel as Base

    if isinstance(annotation, type) and issubclass(annotation, Base):
        return [annotation, *annotation.__subclasses__()]
    return [model for part in get_args(annotation) for model in _models(part)]
