"""A profile from its file, and from those that it includes: with variables put in, and all faults told at once."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from numamig.errors import Fault, FileError, UsageError
from numamig.replay.schema import Profile
from numamig.replay.structure import MOST_NESTED, structure_faults
from numamig.replay.variables import Scope, parse_setting
from numamig.yamlfile import (
    Allowance,
    Document,
    Location,
    build_document,
    compose_yaml,
    read_text,
)

__all__ = ["load_profile", "parse_profile"]

_MOST_FILES = 64


def load_profile(path: str, settings: Iterable[str] = ()) -> tuple[Profile, Document]:
    """
    :param settings: values of variables: "target=2"

    :raises FileError: it cannot be read, or is wrong; with every fault and its place.
    :raises UsageError: a setting is for no variable.
    """
    return parse_profile(path, read_text(path), settings)


def parse_profile(path: str, text: bytes, settings: Iterable[str] = ()) -> tuple[Profile, Document]:
    """The same of a text; files that it includes are looked for beside ``path``."""
    given = dict(map(parse_setting, settings))
    loading = _Loading(given)
    document, faults = loading.read(path, text, given, (os.path.realpath(path),))
    if faults:
        raise FileError(path, faults)
    unknown = [name for name in given if name not in loading.names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], loading.names, 1)
        known = f"it has {', '.join(sorted(loading.names))}" if loading.names else "it has none"
        hint = f"did you mean {near[0]!r}?" if near else known
        raise UsageError(f"--set {unknown[0]}: {path} has no variable of that name", hint=hint)
    return document.validate(Profile), document


@dataclass(slots=True)
class _Loading:
    """Files that belong together, read one inside the other."""

    given: Mapping[str, yaml.ScalarNode]
    """On the command line."""
    names: set[str] = field(default_factory=set)
    """Of all variables."""
    allowance: Allowance = field(default_factory=Allowance)
    spent: list[int] = field(default_factory=lambda: [0])
    files: int = 0

    def read(
        self,
        path: str,
        text: bytes,
        given: Mapping[str, yaml.ScalarNode],
        inside: tuple[str, ...],
        *,
        of_each: bool = False,
        depth: int = 0,
    ) -> tuple[Document, list[Fault]]:
        """What a file says, with what it includes in its place; and everything that is wrong with it.

        :param given: values of variables, from outside
        :param inside: files that this one is included by, and itself
        :raises FileError: it cannot be read any further.
        """
        self.files += 1
        scope = Scope(path, given, self.spent)
        root = compose_yaml(path, text, self.allowance)
        faults: list[Fault] = []
        try:
            scope.declare(root)
        except FileError as error:
            faults = error.faults
        try:
            document = build_document(path, root, scope.read)
        except FileError as error:
            raise FileError(path, [*faults, *error.faults]) from None
        self.names |= scope.values.keys() | scope.used
        faults += self._include_all(document, scope, inside, of_each, depth)
        faults += _faults(document, of_each, depth)
        return document, faults

    def _include_all(
        self, document: Document, scope: Scope, inside: tuple[str, ...], of_each: bool, depth: int
    ) -> list[Fault]:
        faults: list[Fault] = []
        for step, at, each, deep in list(_includes(document.data.get("steps"), ("steps",), of_each, depth)):
            said = step["include"]
            include = {"file": said} if isinstance(said, str) else dict(said)
            place = (*at, "include", "file") if isinstance(said, dict) else (*at, "include")
            if "steps" in include:
                faults.append(
                    document.fault((*at, "include", "steps"), "unknown key 'steps'; known here: file, set", of_key=True)
                )
                continue
            try:
                inner, found = self._included(document, include, place, scope, inside, each, deep)
            except FileError as error:
                faults.extend(error.faults)
                step["include"] = {**include, "steps": []}
                continue
            faults.extend(found)
            _put_in(document, step, include, at, place, inner)
        return faults

    def _included(
        self,
        document: Document,
        include: dict[str, Any],
        place: Location,
        scope: Scope,
        inside: tuple[str, ...],
        of_each: bool,
        depth: int,
    ) -> tuple[Document, list[Fault]]:
        """
        :raises FileError: it cannot be had; at the place that names it.
        """

        def refuse(words: str) -> FileError:
            return FileError(document.path, [document.fault(place, f"{include['file'][:80]!r} {words}")])

        path = str(Path(document.marks[place].path).parent / include["file"])
        try:
            real = os.path.realpath(path)
            if real in inside:
                chain = " → ".join(Path(each).name for each in (*inside[inside.index(real) :], real))
                raise refuse(f"includes itself: {chain}")
            if self.files >= _MOST_FILES:
                raise refuse(f"is one file too many: {_MOST_FILES} at most")
            if not stat.S_ISREG(Path(real).stat().st_mode):
                raise refuse("is no file that can be included")
        except (OSError, ValueError) as error:
            raise refuse(f"cannot be included: {getattr(error, 'strerror', None) or error}") from None
        values = {**{name: value for name, value in scope.values.items() if value is not None}, **self.given}
        values |= {name: _as_node(value) for name, value in _settings(include).items()}
        return self.read(path, read_text(path), values, (*inside, real), of_each=of_each, depth=depth + 1)


def _includes(
    steps: Any, at: Location, of_each: bool, depth: int
) -> Iterable[tuple[dict[str, Any], Location, bool, int]]:
    """Steps that include a file: the step, its place, whether a process is known there, and how deep that is."""
    if not isinstance(steps, list) or depth >= MOST_NESTED:
        return
    for number, step in enumerate(steps):
        if not isinstance(step, dict):
            continue
        said = step.get("include")
        if isinstance(said, str) or (isinstance(said, dict) and isinstance(said.get("file"), str)):
            yield step, (*at, number), of_each, depth
        for name in ("repeat", "for_each"):
            block = step.get(name)
            if isinstance(block, dict):
                inside = (*at, number, name, "steps")
                yield from _includes(block.get("steps"), inside, of_each or name == "for_each", depth + 1)


def _settings(include: Mapping[str, Any]) -> dict[str, Any]:
    said = include.get("set")
    if not isinstance(said, dict):
        return {}
    return {str(name): value for name, value in said.items() if isinstance(value, str | int | float)}


def _as_node(value: str | int | float) -> yaml.ScalarNode:
    if isinstance(value, str):
        return yaml.ScalarNode("tag:yaml.org,2002:str", value)
    kind = "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"
    return yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", str(value).lower())


def _put_in(
    document: Document, step: dict[str, Any], include: dict[str, Any], at: Location, place: Location, inner: Document
) -> None:
    """The steps of another file, with their places there."""
    steps = inner.data.get("steps")
    step["include"] = {**include, "steps": steps if isinstance(steps, list) else []}
    document.marks[(*at, "include", "file")] = document.marks[place]
    for location, mark in inner.marks.items():
        if location[:1] == ("steps",):
            document.marks[(*at, "include", *location)] = mark


def _faults(document: Document, of_each: bool, depth: int) -> list[Fault]:
    """Of this file alone: those of others have been told where these were read."""
    try:
        document.validate(Profile, lambda data: structure_faults(data, of_each=of_each, depth=depth))
    except FileError as error:
        return [fault for fault in error.faults if fault.path == document.path]
    return []
