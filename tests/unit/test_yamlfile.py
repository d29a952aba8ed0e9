"""YAML with the line of every fault, and nothing that could explode."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from numamig.errors import Fault, FileError
from numamig.yamlfile import Allowance, compose_yaml, parse_yaml, read_yaml


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    pages: int = 1


class Cold(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["cold"]
    below: int


class Hot(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["hot"]
    above: int


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    batch: Inner = Inner()
    steps: list[Inner] = []
    heat: Annotated[Cold | Hot, Field(discriminator="kind")] | None = None
    most: int | Inner | None = None
    sort: Literal["hottest", "coldest"] = "hottest"


def faults(path: Path, text: str) -> list[Fault]:
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        read_yaml(path).validate(Outer)
    assert str(path) in str(caught.value)
    return caught.value.faults


def test_good_files_load(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: x\nbatch: {pages: 5}\nsteps:\n  - pages: 2\n")
    assert read_yaml(path).validate(Outer) == Outer(name="x", batch=Inner(pages=5), steps=[Inner(pages=2)])


def told(folder: Path, text: str) -> list[str]:
    """Each fault as it is printed, without the folder."""
    path = folder / "a.yaml"
    faults(path, text)
    with pytest.raises(FileError) as caught:
        read_yaml(path).validate(Outer)
    return [line.removeprefix(f"{folder}/") for line in caught.value.message.split("\n")]


def test_all_faults_at_once_with_their_places_and_the_nearest_key(tmp_path: Path) -> None:
    assert told(tmp_path, "name: x\nbatch:\n  page: 5\nsteps:\n  - pages: many\nstep: 3\n") == [
        "a.yaml:3:3: unknown key 'page': did you mean 'pages'?",
        "a.yaml:5:12: steps.0.pages: input should be a valid integer, unable to parse string as an integer, not 'many'",
        "a.yaml:6:1: unknown key 'step': did you mean 'steps'?",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "heat: {kind: cold, above: 3}",
            ["1: heat.below is missing", "20: unknown key 'above'; known here: below, kind"],
        ),
        ("heat: {kind: cold, below: x}", ["27: heat.below: input should be a valid integer"]),
        ("heat: {kind: worm}", ["1: heat: input tag 'worm' found using 'kind' does not match"]),
        ("most: {page: 3}", ["8: unknown key 'page': did you mean 'pages'?"]),
        (
            "most: lots",
            ["7: most: input should be a valid integer, unable to parse string as an integer, not 'lots' or "],
        ),
        ("sort: hotest", ["7: sort: input should be 'hottest' or 'coldest', not 'hotest': did you mean 'hottest'?"]),
        ("pages: 3", ["1: unknown key 'pages': it belongs into 'batch', like batch: {pages: …}"]),
        ("batch: 3", ["8: batch: write a mapping with keys such as pages, not '3'"]),
        ("batch: [3]", ["1: batch: write a mapping with keys such as pages, not a list"]),
        ("steps: {pages: 3}", ["1: steps: write a list, not a mapping"]),
        ("steps: yes", ["8: steps: write a list, not 'yes'"]),
        ("batch: {pages: 2001-02-30}", ["16: '2001-02-30' cannot be read: put quotes around it"]),
        ("batch: {pages: }", ["15: batch.pages: input should be a valid integer, not nothing"]),
    ],
)
def test_a_fault_says_what_is_written_and_what_was_expected(tmp_path: Path, text: str, lines: list[str]) -> None:
    found = told(tmp_path, f"name: x\n{text}\n")
    assert [line[: len(f"a.yaml:2:{words}")] for line, words in zip(found, lines, strict=True)] == [
        f"a.yaml:2:{words}" for words in lines
    ]


def test_what_stands_in_the_way_of_reading_is_told_at_once_too(tmp_path: Path) -> None:
    assert told(tmp_path, "name: !x 1\nbatch: &a {pages: 1}\nsteps: [*a]\n") == [
        "a.yaml:1:7: tag '!x' cannot be read: tags are not used here",
        "a.yaml:3:9: aliases (*a) are not used here: write the value out",
    ]
    assert told(tmp_path, "name: x\nname: y\nbatch: {pages: 2001-99-14, ? [1] : 2}\n") == [
        "a.yaml:2:1: key 'name' is there twice",
        "a.yaml:3:16: '2001-99-14' cannot be read: put quotes around it",
        "a.yaml:3:30: a key must be a plain word or number",
    ]


def test_of_thousands_of_faults_a_hundred_are_told(tmp_path: Path) -> None:
    lines = told(tmp_path, "name: x\n" + "".join(f"wrong{n}: 1\n" for n in range(5000)))
    assert len(lines) == 101
    assert lines[-1] == "a.yaml: and 4,900 further faults"


def test_files_that_belong_together_share_what_may_be_read() -> None:
    allowance = Allowance(10)
    compose_yaml("a.yaml", b"a: 1\nb: 2\n", allowance)  # the mapping, two keys, and two values
    compose_yaml("b.yaml", b"a: 1\n", allowance)
    with pytest.raises(FileError, match=r"^c\.yaml:2:4: more than"):
        compose_yaml("c.yaml", b"\na: 1\n", allowance)


def test_a_scalar_may_be_read_as_another_one() -> None:
    document = parse_yaml("a.yaml", b"name: y\nbatch:\n  pages: 0x10\n")
    assert document.text(("batch", "pages")) == "0x10"
    assert document.fault(("batch", "pages", "more"), "x") == Fault(3, 10, "x", "a.yaml")
    assert document.fault(("batch", "pages"), "x", of_key=True) == Fault(3, 3, "x", "a.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a mapping"),
        ("- 1", "must be a mapping"),
        ("name: [", "expected the node content"),
        ("name: x\nname: y", "is there twice"),
        ("a: &a [1]\nname: *a", "aliases"),
        ("name: !!python/object/apply:os.system [x]", "tags|cannot be read"),
        ("name: !x y", "cannot be read"),
        ("name: !!str y", "tags are not used"),
        ("name: !!binary aGFsbG8=", "tags are not used"),
        ("name: ! y", "tags are not used"),
        ("%TAG ! tag:x,2000:\n---\nname: !foo b", "tags are not used"),
        ("name: <<", "'<<' cannot be read"),
        ("name: 2001-99-14", "'2001-99-14' cannot be read"),
        ("name: 1" + ":1" * 5000, "too long for a number"),  # base 60
        ("name: 1" + ":1" * 5000 + ":1.5", "too long for a number"),
        ("batch: {pages: 0x" + "f" * 60_000 + "}", "too long for a number"),
        ("? 0x" + "f" * 60_000 + "\n: 1", "too long for a number"),
        ("name: [" + "1," * 30_000 + "1]", "more than 20,000 keys and values"),
        ("name: " + "[" * 5000, "nested deeper"),
        ("? [a, b]\n: c", "plain word"),
        ("name: \x00", "special characters|unacceptable"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert re.search(words, str(faults(tmp_path / "a.yaml", text)))


def test_huge_and_missing_files_are_refused(tmp_path: Path) -> None:
    assert "larger than" in str(faults(tmp_path / "a.yaml", "#" * (2 << 20)))
    with pytest.raises(FileError, match="No such file"):
        read_yaml(tmp_path / "b.yaml")
    with pytest.raises(FileError, match="s a directory"):
        read_yaml(tmp_path)
