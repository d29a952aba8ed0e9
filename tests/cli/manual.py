"""What docs/commands.md promises of JSON, as something that documents can be held against."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
_HEADING = re.compile(r"#+ (.*)")
_ROW = re.compile(r"\| `([^`]+)` \| ([^|]+) \|([^|]*)\|([^|]*)\|")
_LINK = re.compile(r"\[([^]]+)\]\(#[^)]*\)")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "integer": int,
    "number": (int, float),
    "string": str,
    "boolean": bool,
    "list": list,
    "object": dict,
}
Fields = dict[str, "Field"]


class Field(NamedTuple):
    type: str
    optional: bool


def read_manual() -> dict[str, list[Fields]]:
    """Heading → tables of fields below it, path → what it is."""
    found: dict[str, list[Fields]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := _HEADING.fullmatch(line):
            heading = match[1]
            found[heading] = []
        elif line.startswith("| Field |"):
            found[heading].append({})
        elif (match := _ROW.fullmatch(line)) and found.get(heading):
            path, kind, _, meaning = (part.strip() for part in match.groups())
            assert path not in found[heading][-1], f"{heading}: {path} is there twice"
            found[heading][-1][path] = Field(kind, meaning.startswith("Only"))
    return found


class Manual:
    """Holds documents against the page; remembers which of its fields were met."""

    def __init__(self) -> None:
        self.tables = read_manual()
        self.met: set[tuple[str, str]] = set()

    def check(self, document: dict[str, Any], *parts: str) -> None:
        """
        :param parts: headings that the fields are under; "numamig jobs/1" is its second table
        """
        fields: dict[str, tuple[str, Field]] = {}
        for part in parts:
            heading, _, number = part.partition("/")
            fields |= {path: (heading, field) for path, field in self.tables[heading][int(number or 0)].items()}
        self._object(document, fields, "")

    def _object(self, value: dict[str, Any], fields: dict[str, tuple[str, Field]], prefix: str) -> None:
        here = {
            path.removeprefix(prefix): at
            for path, at in fields.items()
            if path.startswith(prefix) and not re.search(r"[.[{]", path.removeprefix(prefix))
        }
        undocumented = value.keys() - here.keys()
        assert not undocumented, f"not in the manual: {prefix}{sorted(undocumented)}"
        missing = {name for name, (_, field) in here.items() if not field.optional} - value.keys()
        assert not missing, f"only in the manual: {prefix}{sorted(missing)}"
        for name, content in value.items():
            heading, field = here[name]
            self.met.add((heading, prefix + name))
            self._value(content, field.type, fields, prefix + name)

    def _value(self, value: Any, kind: str, fields: dict[str, tuple[str, Field]], path: str) -> None:
        if kind.endswith(" or null"):
            if value is None:
                return
            kind = kind.removesuffix(" or null")
        if match := re.fullmatch(r"list of (.*)", kind):
            assert isinstance(value, list), f"{path} is {value!r}"
            for each in value:
                self._value(each, match[1], fields, f"{path}[]")
        elif match := re.fullmatch(r"map of (.*)", kind):
            assert isinstance(value, dict), f"{path} is {value!r}"
            for each in value.values():
                self._value(each, match[1], fields, f"{path}{{}}")
        elif match := _LINK.fullmatch(kind):
            shape = {name: (match[1], field) for name, field in self.tables[match[1]][0].items()}
            self._object(value, shape, "")
        elif kind in ("object", "objects"):
            below = path + "{}" in fields
            if below:
                self._value(value, fields[path + "{}"][1].type, fields, path + "{}")
                self.met.add((fields[path + "{}"][0], path + "{}"))
            else:
                assert isinstance(value, dict), f"{path} is {value!r}"
                self._object(value, fields, f"{path}.")
        else:
            expected = _TYPES[kind.removesuffix("s")]
            is_right = isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
            assert is_right, f"{path} is {value!r}, not {kind}"

    def unmet(self) -> set[tuple[str, str]]:
        """Fields that no document had."""
        every = {(heading, path) for heading, tables in self.tables.items() for table in tables for path in table}
        return every - self.met
