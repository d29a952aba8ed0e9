"""Variables of a profile: ``${name}`` and ``${name:-otherwise}`` in its keys and values.

A value that is one variable and nothing else is what that variable is, number or text; any other is read as YAML reads
what comes of it. ``$${`` stands for ``${`` itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from numamig.errors import Fault, FileError, UsageError
from numamig.yamlfile import fault_at

__all__ = ["Scope", "literally", "parse_setting"]

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^${}]*))?\})?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}", re.ASCII)
_LONGEST = 4096
"""Characters that one value may come to."""
_MOST = 1 << 20
"""And all of those with variables in a profile."""
_RESOLVER = yaml.SafeLoader("")
_NULL = "tag:yaml.org,2002:null"


def literally(text: str) -> str:
    """How a text is written in a profile that is to mean itself, whatever it has in it."""
    return text.replace("${", "$${")


def parse_setting(text: str) -> tuple[str, yaml.ScalarNode]:
    """Name and value of ``"target=2"``, typed as YAML would.

    :raises UsageError: it is none.
    """
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name.strip()):
        raise UsageError(f"--set {text[:60]!r} sets nothing", hint="write it like --set target=2")
    if len(value) > _LONGEST:
        raise UsageError(f"--set {name.strip()}: the value is longer than {_LONGEST:,} characters")
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return name.strip(), _read(value[1:-1] if quoted else value.strip(), None, plain=not quoted)


@dataclass(slots=True)
class Scope:
    """What names mean in one file."""

    path: str
    given: Mapping[str, yaml.ScalarNode] = field(default_factory=dict)
    """Said from outside, and stronger than what the file says."""
    spent: list[int] = field(default_factory=lambda: [0])
    """Characters that variables came to so far, in all files that belong together."""
    values: dict[str, yaml.ScalarNode | None] = field(default_factory=dict)
    """Declared in the file; None: without a value."""
    used: set[str] = field(default_factory=set)
    """Names that the file has somewhere."""

    def declare(self, root: yaml.MappingNode) -> None:
        """Take in ``variables`` of a file; one may be made of those before it.

        What is no mapping, name or value there is left to whoever checks the file.

        :raises FileError: a value names what is not there.
        """
        faults: list[Fault] = []
        for key, section in root.value:
            if getattr(key, "value", None) != "variables" or not isinstance(section, yaml.MappingNode):
                continue
            for name, value in section.value:
                if not isinstance(name, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
                    continue
                if name.value in self.given:
                    self.values[name.value] = self.given[name.value]
                    continue
                try:
                    read = self.read(value)
                    self.values[name.value] = None if read.tag == _NULL else read
                except FileError as error:
                    self.values[name.value] = value  # told already: not again wherever it is used
                    faults.extend(error.faults)
        if faults:
            raise FileError(self.path, faults)

    def read(self, node: yaml.ScalarNode) -> yaml.ScalarNode:
        """The scalar that is meant.

        :raises FileError: a variable is not known, has no value, or comes to too much.
        """
        if "${" not in node.value:
            return node
        faults: list[Fault] = []
        parts: list[str] = []
        whole: yaml.ScalarNode | None = None
        end = 0
        for match in _REFERENCE.finditer(node.value):
            parts.append(node.value[end : match.start()])
            end = match.end()
            value: yaml.ScalarNode | str = "${"
            if match.group() != "$${":
                value = self._value(match, node, faults)
                if match[1] is None:
                    break  # whatever follows belongs to it, or not
            if isinstance(value, str):
                parts.append(value)
            else:
                parts.append(value.value)
                whole = value if match.group() == node.value else None
            if sum(map(len, parts)) > _LONGEST:
                faults.append(fault_at(self.path, node.start_mark, f"comes to more than {_LONGEST:,} characters"))
                break
        if faults:
            raise FileError(self.path, faults)
        text = "".join([*parts, node.value[end:]])
        self.spent[0] += len(text)
        if len(text) > _LONGEST or self.spent[0] > _MOST:
            words = f"comes to more than {_LONGEST:,} characters"
            if len(text) <= _LONGEST:
                words = f"with this, variables come to more than {_MOST:,} characters"
            raise FileError(self.path, [fault_at(self.path, node.start_mark, words)])
        if whole is not None:
            return yaml.ScalarNode(whole.tag, whole.value, node.start_mark, node.end_mark)
        return _read(text, node, plain=node.style is None or _REFERENCE.fullmatch(node.value) is not None)

    def _value(self, match: re.Match[str], node: yaml.ScalarNode, faults: list[Fault]) -> yaml.ScalarNode | str:
        """Of one reference; a text where it is read together with what is around it."""
        name, otherwise = match.groups()
        if name is None:
            near = repr(node.value[match.start() : match.start() + 40])
            words = (
                f"{near} is no variable: write ${{name}} or ${{name:-value}}, and $${{ for the characters themselves"
            )
            faults.append(fault_at(self.path, node.start_mark, words))
            return ""
        self.used.add(name)
        value = self.values.get(name, self.given.get(name))
        if value is not None and (value.value or otherwise is None):
            return value
        if otherwise is not None:
            return str(otherwise)
        if name in self.values or name in self.given:
            words = f"variable {name!r} has no value: say --set {name}=…, or ${{{name}:-value}} here"
        else:
            words = f"variable {name!r} is not known" + _near(name, [*self.values, *self.given])
        faults.append(fault_at(self.path, node.start_mark, words))
        return ""


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f": did you mean {near[0]!r}?"
    return f"; known here: {', '.join(sorted(set(known))[:20])}" if known else "; declare it under variables"


def _read(text: str, at: yaml.ScalarNode | None, *, plain: bool) -> yaml.ScalarNode:
    """A scalar of some text: of a kind that YAML would see in it, or a text."""
    tag = _RESOLVER.resolve(  # type: ignore[no-untyped-call]
        yaml.ScalarNode, text, (True, False) if plain else (False, True)
    )
    start, end = (None, None) if at is None else (at.start_mark, at.end_mark)
    return yaml.ScalarNode(tag, text, start, end)
