"""YAML files read safely and checked against a pydantic model, with line and column of every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import yaml

from numamig.errors import Fault, FileError
from numamig.yamlevents import nodes_of

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "Allowance",
    "Document",
    "Location",
    "Mark",
    "build_document",
    "compose_yaml",
    "fault_at",
    "parse_yaml",
    "plain_value",
    "read_text",
    "read_yaml",
]

_MOST_BYTES = 1 << 20
_MOST_DEPTH = 40
_MOST_VALUES = 20_000
"""And keys. YAML is read at some 20,000 of them a second."""
_LONGEST_NUMBER = 64
"""Characters; of longer ones the time grows with the square, and Python refuses to print them."""
_STRING = "tag:yaml.org,2002:str"
Location = tuple[str | int, ...]
"""Keys and positions on the way from the whole file to a part of it."""
_Model = TypeVar("_Model", bound="BaseModel")


class Mark(NamedTuple):
    """Where a value is written; lines and columns count from 1."""

    path: str
    line: int
    """Of the value; of its key, where it is a mapping or a list."""
    column: int
    key_line: int
    key_column: int
    text: str | None
    """What a scalar is written as, without its quotes."""


@dataclass(slots=True)
class Allowance:
    """How many keys and values may still be read, in all of the files that belong together."""

    values: int = _MOST_VALUES


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and where it says it."""

    path: str
    data: Any
    marks: dict[Location, Mark]

    def fault(self, location: Location, message: str, *, of_key: bool = False) -> Fault:
        """A fault at the innermost part of ``location`` that the file has.

        :param of_key: at the key, where it is not the value that is wrong
        """
        whole = location
        while location and location not in self.marks:
            location = location[:-1]
        mark = self.marks.get(location, Mark(self.path, 1, 1, 1, 1, None))
        if of_key and location == whole:
            return Fault(mark.key_line, mark.key_column, message, mark.path)
        return Fault(mark.line, mark.column, message, mark.path)

    def text(self, location: Location) -> str | None:
        """What the scalar at ``location`` is written as; None for anything else."""
        mark = self.marks.get(location)
        return None if mark is None else mark.text

    def validate(
        self, model: type[_Model], others: Callable[[Any], Iterable[tuple[Location, str]]] = lambda _data: ()
    ) -> _Model:
        """
        :param others: finds further faults in what the file says, whatever that is; told where nothing else is wrong

        :raises FileError: with one line for each fault.
        """
        from pydantic import ValidationError

        from numamig.yamlfault import faults_of

        found: list[Fault] = []
        valid: _Model | None = None
        try:
            valid = model.model_validate(self.data)
        except ValidationError as error:
            found = faults_of(error, self, model)
        places = {fault[:2] for fault in found}
        further = [self.fault(location, message) for location, message in others(self.data)]
        found += [fault for fault in further if fault[:2] not in places]
        if valid is None or found:
            raise FileError(self.path, found)
        return valid


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
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FileError(name, [(0, getattr(error, "strerror", None) or str(error))]) from error
    if len(text) > _MOST_BYTES:
        raise FileError(name, [(0, f"larger than {_MOST_BYTES >> 20} MiB: this is no profile or scenario")])
    return text


def parse_yaml(name: str, text: bytes) -> Document:
    """The same of a text; ``name`` is what messages call it.

    :raises FileError: it cannot be parsed.
    """
    return build_document(name, compose_yaml(name, text))


def compose_yaml(name: str, text: bytes, allowance: Allowance | None = None) -> yaml.MappingNode:
    """The nodes of a text, of which none is larger or deeper than it looks.

    :param allowance: is used up by what is read
    :raises FileError: it cannot be parsed.
    """
    allowance = allowance or Allowance()
    try:
        events, faults = _read(name, text, allowance)
        root = None if faults else nodes_of(events)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = (error.problem or "is no YAML") + _about_braces(text, mark)
        raise FileError(name, [fault_at(name, mark, message) if mark else (0, message)]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FileError(name, [(0, f"is no YAML: {str(error).splitlines()[0]}")]) from error
    if faults:
        raise FileError(name, faults)
    if not isinstance(root, yaml.MappingNode):
        raise FileError(name, [Fault(1, 1, "must be a mapping of keys to values")])
    return root


def fault_at(name: str, mark: Any, message: str) -> Fault:
    """A fault at a mark of PyYAML."""
    return Fault(mark.line + 1, mark.column + 1, message, name)


def _read(name: str, text: bytes, allowance: Allowance) -> tuple[list[yaml.Event], list[Fault]]:
    """The events of a text, and what of them must not be composed.

    :raises FileError: there is too much of it to go on.
    """
    events: list[yaml.Event] = []
    faults: list[Fault] = []
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        events.append(event)
        mark = event.start_mark
        allowance.values -= isinstance(event, yaml.NodeEvent)
        if allowance.values < 0:
            raise FileError(
                name,
                [fault_at(name, mark, f"more than {_MOST_VALUES:,} keys and values: this is no profile or scenario")],
            )
        tag = getattr(event, "tag", None)  # only where the file writes one
        if tag is not None:
            faults.append(fault_at(name, mark, f"tag {str(tag)[:60]!r} cannot be read: tags are not used here"))
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_DEPTH:
            raise FileError(name, [*faults, fault_at(name, mark, f"nested deeper than {_MOST_DEPTH} levels")])
        if isinstance(event, yaml.AliasEvent):
            words = f"aliases (*{str(event.anchor)[:60]}) are not used here: write the value out"
            faults.append(fault_at(name, mark, words))
    return events, faults


def _about_braces(text: bytes, mark: Any) -> str:
    """Between brackets YAML takes the brace of a variable for one of its own."""
    if mark is None:
        return ""
    lines = text.decode(errors="replace").splitlines()
    near = "".join(lines[max(0, mark.line - 1) : mark.line + 1])
    return ": between { } or [ ] put quotes around ${…}" if "${" in near else ""


def build_document(
    name: str, root: yaml.MappingNode, scalars: Callable[[yaml.ScalarNode], yaml.ScalarNode] | None = None
) -> Document:
    """Plain Python values of nodes.

    :param scalars: is handed each key and value, and says what is to be read instead; FileError where it is wrong
    :raises FileError: keys are there twice, or something cannot be read.
    """
    building = _Building(name, scalars)
    data = building.value(root, (), root)
    if building.faults:
        raise FileError(name, building.faults)
    return Document(name, data, building.marks)


@dataclass(slots=True)
class _Building:
    """Values of nodes, keys as YAML resolves them; faults are gathered."""

    name: str
    scalars: Callable[[yaml.ScalarNode], yaml.ScalarNode] | None
    marks: dict[Location, Mark] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def value(self, node: yaml.Node, at: Location, key: yaml.Node) -> Any:
        """
        :param key: the node of its key; the node itself where it has none
        """
        scalar = isinstance(node, yaml.ScalarNode)
        here, of_key = (node if scalar else key).start_mark, key.start_mark
        self.marks[at] = Mark(
            self.name,
            here.line + 1,
            here.column + 1,
            of_key.line + 1,
            of_key.column + 1,
            node.value if scalar else None,
        )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*at, number), child) for number, child in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            before = len(self.faults)
            key = self._scalar(key_node)
            if len(self.faults) > before:
                continue
            part = key if isinstance(key, int) else str(key)
            if key in result:
                self.faults.append(fault_at(self.name, key_node.start_mark, f"key {str(key)!r} is there twice"))
                continue
            result[key] = self.value(value_node, (*at, part), key_node)
        return result

    def _scalar(self, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self.faults.append(fault_at(self.name, node.start_mark, "a key must be a plain word or number"))
            return None
        try:
            return plain_value(self.name, node if self.scalars is None else self.scalars(node))
        except FileError as error:
            self.faults.extend(error.faults)
            return None


def plain_value(name: str, node: yaml.ScalarNode) -> Any:
    """Text, number, truth value, date, or None.

    :raises FileError: it cannot be read.
    """
    if node.tag != _STRING and len(node.value) > _LONGEST_NUMBER:
        words = f"{node.value[:20]}… is too long for a number: put quotes around it if it is none"
        raise FileError(name, [fault_at(name, node.start_mark, words)])
    constructor = yaml.SafeLoader("")
    try:
        return constructor.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        words = f"{node.value!r} cannot be read: put quotes around it"
        raise FileError(name, [fault_at(name, node.start_mark, words)]) from error
    finally:
        constructor.dispose()
