"""A rehearsal of what is then done to real processes: outcomes as predicted, where a twin can know them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from numamig.cli import main
from numamig.testing import Area
from tests.lab.back_door import pages_by_node, wait_until_asleep
from tests.lab.conftest import LabTarget, LabWorkshop

PAGE = 4096
MAPS_FILES = """
import mmap, os, sys
private = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
private[:] = bytes(8 << 20)
with open(sys.argv[1], "w+b") as file:
    os.truncate(sys.argv[1], 4 << 20)
    written = mmap.mmap(file.fileno(), 4 << 20)
written[: 3 << 20] = b"x" * (3 << 20)
with open(sys.executable, "rb") as file:
    read = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
for page in range(0, len(read), 4096):
    read[page]
for _ in sys.stdin:
    print("ready", flush=True)
"""
"""Anonymous memory, a file that only this process maps, and one (its program) that others map as well."""


def numamig(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """A command within this process, since to start another takes emulated seconds."""
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--json"])
    captured = capsys.readouterr()
    assert ended.value.code in (0, 1), captured.err
    printed: dict[str, Any] = json.loads(captured.out)
    return printed


def profile(folder: Path, pid: int, *lines: str, to: int = 1, away_from: str = "0", within: str = "") -> str:
    path = folder / "profile.yaml"
    more = "".join(f"      {line}\n" for line in lines)
    where = f", address: [{within}]" if within else ""
    path.write_text(
        f"numamig: 1\ntitle: away\nbackend: linux\nsteps:\n  - migrate:\n      process: {{pid: {pid}}}\n"
        f"      pages: {{from: '{away_from}'{where}}}\n      to: {to}\n      batch: {{calls: 0}}\n{more}"
    )
    return str(path)


def areas_of(target: LabTarget) -> str:
    """What is compared: what it has of libraries comes and goes."""
    pairs = zip(target.starts, target.areas, strict=True)
    return ", ".join(f"{start:#x}-{start + area.pages * PAGE:#x}" for start, area in pairs)


def came_to(document: dict[str, Any]) -> dict[str, int]:
    return {outcome: pages for outcome, pages in document["outcomes"].items() if pages}


@pytest.mark.parametrize("shared", ["false", "true"])
def test_huge_locked_and_shared_memory(
    workshop: LabWorkshop, tmp_path: Path, capsys: pytest.CaptureFixture[str], shared: str
) -> None:
    areas = (Area(4 * 512, 0, "huge"), Area(777, 0), Area(100, 0, "shared"), Area(300, 0, "locked"), Area(64, 2))
    target = workshop.start(*areas)
    path = profile(tmp_path, target.pid, f"shared: {shared}", within=areas_of(target))
    before = [target.pages_by_node(number) for number in range(len(areas))]
    predicted = numamig(capsys, "rehearse", path)
    assert [target.pages_by_node(number) for number in range(len(areas))] == before
    real = numamig(capsys, "replay", path)
    private = 4 * 512 + 777 + 300
    expected = {"moved": private + 100} if shared == "true" else {"moved": private, "shared": 100}
    assert came_to(predicted) == came_to(real) == expected
    there = {1: 100} if shared == "true" else {0: 100}
    wanted = [{1: 4 * 512}, {1: 777}, there, {1: 300}, {2: 64}]
    assert [target.pages_by_node(number) for number in range(len(areas))] == wanted
    assert target.intact()


@pytest.fixture
def maps_files(tmp_path: Path) -> Iterator[int]:
    command = ["numactl", "--preferred=0", sys.executable, "-S", "-c", MAPS_FILES, str(tmp_path / "mapped")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        for _ in range(3):  # then it has all in its memory that it takes to wait
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "ready\n"
        wait_until_asleep(child.pid)
        yield child.pid
        child.kill()


def test_files_of_its_own_and_of_others(maps_files: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = profile(tmp_path, maps_files, to=2, away_from="0,1")  # files lie where they were first read
    before = pages_by_node(maps_files)
    predicted = numamig(capsys, "rehearse", path)
    assert pages_by_node(maps_files).get(2) == before.get(2)  # nothing has come there
    real = numamig(capsys, "replay", path)
    moved = came_to(predicted)["moved"], came_to(real)["moved"]
    assert abs(moved[0] - moved[1]) < max(moved) // 10  # who else maps a file comes and goes
    assert predicted["chosen"] >= came_to(predicted)["moved"] >= (8 << 20) // PAGE + (3 << 20) // PAGE
    assert came_to(real)["moved"] >= (8 << 20) // PAGE + (3 << 20) // PAGE
    assert came_to(real)["shared"] > 0


def test_what_is_pinned_is_all_that_differs(
    workshop: LabWorkshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = workshop.start(Area(2000, 0, pinned=(3, 700, 1999)))
    path = profile(tmp_path, target.pid, "retry: {mode: never}", within=areas_of(target))
    predicted, real = numamig(capsys, "rehearse", path), numamig(capsys, "replay", path)
    expected = came_to(real)
    assert expected.pop("busy") == 3
    assert came_to(predicted) == {**expected, "moved": expected["moved"] + 3}
    assert any("pinned" in note for note in predicted["notes"])


def test_how_much_a_full_node_takes(workshop: LabWorkshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free = workshop.backend.node_counters().free_bytes
    workshop.start(Area((free[2] - (100 << 20)) // (512 * PAGE) * 512, 2, "huge"))
    target = workshop.start(Area((120 << 20) // PAGE, 0))
    path = profile(tmp_path, target.pid, "retry: {mode: never}", to=2)
    Path(path).write_text(Path(path).read_text().replace("{calls: 0}", "{calls: 0, reserve: 60MiB}"))
    predicted, real = numamig(capsys, "rehearse", path), numamig(capsys, "replay", path)
    assert real["steps"][0]["migrate"][0]["reason"] == predicted["steps"][0]["migrate"][0]["reason"] != "done"
    # Some megabytes lie on the lists of CPUs, where they are neither free nor anybody's.
    assert abs(predicted["outcomes"]["moved"] - real["outcomes"]["moved"]) < (14 << 20) // PAGE
