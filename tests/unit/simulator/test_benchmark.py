"""The benchmark of the simulator prints what it promises; how large the figures are is its own business."""

from __future__ import annotations

import json

import pytest

from benchmarks import simulator


def test_building(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("build", "build-full"):
        simulator.main(["--only", name, "--json", "--size", "256MiB", "--processes", "3"])
        printed = json.loads(capsys.readouterr().out)
        assert all(figure > 0 for figure in printed.values())
        assert len(printed) == 2


def test_a_machine_of_a_gigabyte_is_lean(capsys: pytest.CaptureFixture[str]) -> None:
    simulator.main(["--json", "--rounds", "1", "--size", "1GiB"])
    printed = json.loads(capsys.readouterr().out)
    wanted = {"build_seconds", "peak_bytes", "build_quarter_seconds", "pages_per_second", "pages_per_second_512"}
    assert wanted <= set(printed)
    assert 0 < printed["peak_bytes"] < 512 << 20
