"""Benchmarks run, and print what they promise; how large the figures are is nobody's business here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import disturbance, engine, locate, overhead
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.scenario import ScenarioFile, build_machine
from numamig.model.pages import PageRuns

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


def test_the_engine_on_the_simulated_machine(capsys: pytest.CaptureFixture[str]) -> None:
    printed: dict[str, float] = {}
    for measure in ("pages", "pages-scattered", "memory", "memory-scattered"):
        engine.main(["--json", "--only", measure, "--rate-size", "64MiB", "--size", "64MiB"])
        printed |= json.loads(capsys.readouterr().out)
    for key in ("pages_per_second", "pages_per_second_scattered", "journal_bytes_per_gib_scattered"):
        assert printed[key] > 0, key
    for key in ("journal_bytes_per_gib", "peak_bytes_above_idle_contiguous", "peak_bytes_above_idle_scattered"):
        assert printed[key] >= 0, key


def test_the_engine_beside_bare_calls() -> None:
    process = {"name": "work", "pid": 1000, "regions": [{"size": "4MiB", "nodes": {0: 1}}]}
    nodes = [{"id": number, "cpus": str(number), "memory": "1GiB"} for number in range(3)]
    scenario = {"scenario": 1, "title": "small", "nodes": nodes, "processes": [process]}
    backend = SimulatorBackend(build_machine(ScenarioFile.model_validate(scenario)))
    (region,) = backend.regions(1000)
    found = overhead.measure(backend, 1000, (region.start, region.end), (0, 1, 2), rounds=1, parts=True)
    for size in ("", "_512", "_scattered"):
        assert float(str(found[f"overhead_ratio{size}"])) > 0
        parts = found[f"parts{size}"]
        assert isinstance(parts, dict)
        assert parts["calls"] > 0
        assert parts["intend"] > 0
    where = PageRuns.concatenate(backend.page_runs(1000, [(region.start, region.end)]))
    assert set(where.node.tolist()) == {2}, "the last pair moves everything to the third node"
