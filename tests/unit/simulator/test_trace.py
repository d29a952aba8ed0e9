"""The same seed gives the same trace, byte for byte: in two runs, whatever the hash seed, on every interpreter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trace import trace

_ROOT = Path(__file__).parents[3]
_NEEDED = ("numpy", "simpy", "pydantic", "yaml")
_OTHERS = [name for n in range(11, 16) if n != sys.version_info.minor for name in [f"python3.{n}"]]


def made_by(interpreter: str, hash_seed: str) -> str:
    done = subprocess.run(
        [interpreter, "-m", "tests.trace"],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def here() -> str:
    return trace()


def test_a_trace_tells_of_everybody(here: str) -> None:
    assert here.count("BatchMoved") > 20 and here.count("JobEnded") == 2
    for counter in ("numa_hint_faults", "numa_pages_migrated", "pgmigrate_success", "pgmigrate_fail"):
        assert int(re.findall(rf"'{counter}': (\d+)", here)[-1]) > 0
    tables = re.findall(r"page tables (\w+)", here)
    assert len(set(tables)) > len(tables) * 0.9
    assert here.count("'name': 'database'") == here.count("'name': 'batch'") == len(tables)


def test_two_runs_in_one_process(here: str) -> None:
    assert trace() == here


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_another_process_with_another_hash_seed(here: str, hash_seed: str) -> None:
    assert made_by(sys.executable, hash_seed) == here


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
