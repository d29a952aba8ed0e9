"""Benchmarks run, and print what they promise; how large the figures are is nobody's business here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import disturbance, locate
from numamig.backends.linux.backend import LinuxBackend

PAGEMAP = Path("/proc/self/pagemap")


def needs_frames() -> None:
    if not PAGEMAP.exists() or LinuxBackend().readers.frame_reader is None:
        pytest.skip("missing: see_pfn (CAP_SYS_ADMIN)")


def test_locate(capsys: pytest.CaptureFixture[str]) -> None:
    needs_frames()
    locate.main(["--json", "--rounds", "1", "--size", "8MiB", "--space", "64GiB"])
    printed = json.loads(capsys.readouterr().out)
    for key in (
        "ratio_to_bare_read",
        "ratio_to_bare_read_two_threads",
        "ratio_to_bare_read_many_nodes",
        "ratio_to_bare_read_scattered",
        "speedup_over_query",
        "thp_speedup_over_query",
        "scan_speedup_holes",
        "scan_speedup_huge_query",
        "first_picture_ms",
        "counted_picture_ms",
    ):
        assert printed[key] > 0, key
    assert 0 < printed["first_picture_error"] <= 1


def test_locate_says_when_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "available_bytes", lambda: 1 << 30)
    assert locate.affordable(4 << 30) == 512 << 20
    assert locate.affordable(64 << 20) == 64 << 20


def test_disturbance(capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("missing: a C compiler")
    disturbance.main(["--json", "--rounds", "1", "--size", "8MiB", "--seconds", "0.1"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["rate_kept"] > 0
    assert printed["pages_per_second_alone"] > 0
    assert printed["looking_cpu_share"] >= 0
