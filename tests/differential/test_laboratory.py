"""The talk with the guest, with somebody else in the guest's place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from numamig.errors import LabError
from tests.differential import laboratory
from tests.differential.generator import make_case
from tests.differential.laboratory import Talk, hold_talk


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What each boot in turn does: a function of the exchange directory and of what hears it."""
    boots: list[Any] = []
    monkeypatch.setattr(laboratory, "fetch_kernel", lambda series, narrate: series)
    monkeypatch.setattr(laboratory, "default_cache_directory", lambda: tmp_path)
    monkeypatch.setattr(
        laboratory, "run", lambda command, kernel, timeout_seconds, stdout: boots.pop(0)(Path(command[-1]), stdout)
    )
    return boots


def answering(directory: Path, heard: Any) -> int:
    """A guest that reports every case as soon as there is one, in lines that come in pieces."""
    number = 0
    while not (directory / "stop").exists():
        lines = (directory / f"batch-{number}.jsonl").read_text().splitlines()
        said = "".join(json.dumps({"case": json.loads(line)["id"]}) + "\n" for line in lines)
        said += json.dumps({"batch": number}) + "\n"
        for first in range(0, len(said), 7):
            heard.write(said[first : first + 7].encode())
        number += 1
    return 0


def dying(directory: Path, heard: Any) -> int:
    raise LabError("died")


def test_batches_go_in_and_reports_come_back(guests: list[Any]) -> None:
    heard: list[list[int]] = []

    def talk() -> Talk:
        for numbers in ([1, 2, 3], [4]):
            reports = yield [make_case(1, number) for number in numbers]
            heard.append([report["case"] for report in reports])

    guests += [answering]
    assert hold_talk("6.1", talk(), 10, lambda line: None) == 0
    assert heard == [[1, 2, 3], [4]]


def test_a_kernel_that_dies_in_its_boot_gets_a_second_one(guests: list[Any]) -> None:
    def talk() -> Talk:
        yield [make_case(1, 1)]

    guests += [dying, answering]
    assert hold_talk("6.1", talk(), 10, lambda line: None) == 0
    guests += [dying, dying]
    with pytest.raises(LabError):
        hold_talk("6.1", talk(), 10, lambda line: None)


def test_a_kernel_that_dies_later_does_not(guests: list[Any]) -> None:
    def talk() -> Talk:
        yield [make_case(1, 1)]

    def speaking(directory: Path, heard: Any) -> int:
        heard.write(b"hello\n")
        raise LabError("died")

    guests += [speaking, answering]
    with pytest.raises(LabError):
        hold_talk("6.1", talk(), 10, lambda line: None)
