"""YAML with the line of every fault, and nothing that could explode."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from numamig.errors import FileError
from numamig.yamlfile import read_yaml


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    pages: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    batch: Inner = Inner()
    steps: list[Inner] = []


def faults(path: Path, text: str) -> list[tuple[int, str]]:
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        read_yaml(path).validate(Outer)
    assert str(path) in str(caught.value)
    return caught.value.faults


def test_good_files_load(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: x\nbatch: {pages: 5}\nsteps:\n  - pages: 2\n")
    assert read_yaml(path).validate(Outer) == Outer(name="x", batch=Inner(pages=5), steps=[Inner(pages=2)])


def test_all_faults_at_once_with_their_lines_and_the_nearest_key(tmp_path: Path) -> None:
    found = faults(tmp_path / "a.yaml", "name: x\nbatch:\n  page: 5\nsteps:\n  - pages: many\nstep: 3\n")
    assert found == [
        (3, "unknown key 'page': did you mean 'pages'?"),
        (5, "steps.0.pages: input should be a valid integer, unable to parse string as an integer, not 'many'"),
        (6, "unknown key 'step': did you mean 'steps'?"),
    ]


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
    import re

    assert re.search(words, str(faults(tmp_path / "a.yaml", text)))


def test_huge_and_missing_files_are_refused(tmp_path: Path) -> None:
    assert "larger than" in str(faults(tmp_path / "a.yaml", "#" * (2 << 20)))
    with pytest.raises(FileError, match="No such file"):
        read_yaml(tmp_path / "b.yaml")
    with pytest.raises(FileError, match="s a directory"):
        read_yaml(tmp_path)
