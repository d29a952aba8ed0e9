"""A rehearsal of what is then done to real processes: outcomes as predicted, where a twin can know them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from numamig.cli import main
from numamig.testing import Area
from tests.lab.back_door import pages_by_node
from tests.lab.conftest import LabWorkshop

PAGE = 4096


def numamig(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """A command within this process, since to start another takes emulated seconds."""
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--json"])
    captured = capsys.readouterr()
    assert ended.value.code in (0, 1), captured.err
    printed: dict[str, Any] = json.loads(captured.out)
    return printed


def profile(folder: Path, pid: int, *lines: str, to: int = 1) -> str:
    path = folder / "profile.yaml"
    more = "".join(f"      {line}\n" for line in lines)
    path.write_text(
        f"numamig: 1\ntitle: away\nbackend: linux\nsteps:\n  - migrate:\n      process: {{pid: {pid}}}\n"
        f"      pages: {{from: 0}}\n      to: {to}\n      batch: {{calls: 0}}\n{more}"
    )
    return str(path)


def came_to(document: dict[str, Any]) -> dict[str, int]:
    return {outcome: pages for outcome, pages in document["outcomes"].items() if pages}


@pytest.mark.parametrize("shared", ["false", "true"])
def test_huge_locked_and_shared_memory(
    workshop: LabWorkshop, tmp_path: Path, capsys: pytest.CaptureFixture[str], shared: str
) -> None:
    areas = (Area(4 * 512, 0, "huge"), Area(777, 0), Area(100, 0, "shared"), Area(300, 0, "locked"), Area(64, 2))
    target = workshop.start(*areas)
    path = profile(tmp_path, target.pid, f"shared: {shared}")
    before = pages_by_node(target.pid)
    predicted = numamig(capsys, "rehearse", path)
    assert pages_by_node(target.pid) == before
    real = numamig(capsys, "replay", path)
    after = pages_by_node(target.pid)
    assert came_to(predicted) == came_to(real)
    assert predicted["chosen"] == real["chosen"] == before[0]
    assert came_to(real)["moved"] == after[1] - before.get(1, 0)
    assert came_to(real)["moved"] >= 4 * 512 + 777 + 300 + (100 if shared == "true" else 0)
    assert came_to(real).get("shared", 0) >= (0 if shared == "true" else 100)
    assert predicted["placement"] == real["placement"]
    assert target.intact()


def test_what_is_pinned_is_all_that_differs(
    workshop: LabWorkshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = workshop.start(Area(2000, 0, pinned=(3, 700, 1999)))
    path = profile(tmp_path, target.pid, "retry: {mode: never}")
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
