"""The same seed gives the same trace, byte for byte: in two runs, whatever the hash seed, on every interpreter."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from numamig.backends.simulator.kernels import KERNELS
from tests.trace import trace

_ROOT = Path(__file__).parents[3]
_NEEDED = ("numpy", "simpy", "pydantic", "yaml")
_OTHERS = [name for n in range(11, 16) if n != sys.version_info.minor for name in [f"python3.{n}"]]


def made_by(interpreter: str, hash_seed: str, kernel: str = "linux-6.1") -> str:
    done = subprocess.run(
        [interpreter, "-m", "tests.trace", kernel],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def made_here(kernel: str) -> str:
    return trace(kernel)


@pytest.fixture
def here() -> str:
    return made_here("linux-6.1")


def tables(text: str) -> list[str]:
    return re.findall(r"page tables (\w+)", text)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_trace_tells_of_everybody(kernel: str) -> None:
    text = made_here(kernel)
    assert text.count("BatchMoved") > 20 and text.count("JobEnded") == 2
    for counter in ("pgmigrate_success", "pgmigrate_fail"):
        assert int(re.findall(rf"'{counter}': (\d+)", text)[-1]) > 0
    assert len(set(tables(text))) > len(tables(text)) * 0.9
    assert text.count("'name': 'database'") == text.count("'name': 'batch'") == len(tables(text))


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
def test_a_trace_of_today_tells_of_balancing(kernel: str) -> None:
    for counter in ("numa_hint_faults", "numa_pages_migrated"):
        assert int(re.findall(rf"'{counter}': (\d+)", made_here(kernel))[-1]) > 0


@pytest.mark.parametrize("kernel", ["ia64-2004-hold-lock", "ia64-2004-rescan"])
def test_a_trace_of_2004_tells_of_locks_retries_and_sleepers(kernel: str) -> None:
    for figure in ("holds", "waits", "longest_wait_ns", "longest_stall_ns", "retries", "writeback", "scan"):
        assert int(re.findall(rf"'{figure}': (\d+)", made_here(kernel))[-1]) > 0, figure


def test_two_runs_in_one_process(here: str) -> None:
    assert trace() == here


@pytest.mark.parametrize(("kernel", "hash_seed"), [("linux-6.1", "0"), *((kernel, "1") for kernel in KERNELS)])
def test_another_process_with_another_hash_seed(kernel: str, hash_seed: str) -> None:
    assert made_by(sys.executable, hash_seed, kernel) == made_here(kernel)


def test_kernels_differ() -> None:
    assert len({made_here(kernel) for kernel in KERNELS}) == len(KERNELS)


def test_another_seed_gives_another_trace(here: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import trace as module

    other = tmp_path / "other.yaml"
    other.write_text(re.sub(r"seed: \d+", "seed: 7", module.SCENARIO.read_text()))
    monkeypatch.setattr(module, "SCENARIO", other)
    assert trace() != here


@pytest.mark.parametrize("name", _OTHERS)
def test_another_interpreter(here: str, name: str) -> None:
    """``NUMAMIG_TRACE_PYTHONS`` names folders to look in besides the PATH, such as those of virtual environments."""
    interpreter = _find(name)
    assert made_by(interpreter, "2") == here


def _find(name: str) -> str:
    """An interpreter that can run the simulator.

    Skips where there is none, and says what is missing.
    """
    folders = [*filter(None, os.environ.get("NUMAMIG_TRACE_PYTHONS", "").split(os.pathsep)), *os.get_exec_path()]
    missing = []
    for folder in folders:
        found = shutil.which(name, path=folder)
        if found is None:
            continue
        probe = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])"
        done = subprocess.run([found, "-c", probe, *_NEEDED], capture_output=True, text=True, check=False)
        if done.returncode == 0 and not done.stdout.strip():
            return found
        missing.append(f"{found} has no {done.stdout.strip() or 'working interpreter'}")
    pytest.skip("; ".join(missing) or f"there is no {name} here")
