"""The wheel, installed into an empty environment, away from this folder: everything that it needs is in it."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_installs_and_runs_by_itself(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "numamig/profiles/pull-database-to-its-cpus.yaml" in names
    assert "numamig/profiles/scenarios/four-node-db.yaml" in names
    assert {"tui/app.tcss", "tui/tour/tour.tcss"} <= set(names)

    home = tmp_path / "empty"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    locked = ROOT / "requirements" / "run.txt"
    subprocess.run([*install, "--require-hashes", "-r", locked], check=True, capture_output=True)
    subprocess.run([*install, "--no-deps", wheel], check=True, capture_output=True)

    def away(*command: str | Path) -> str:
        """What a command prints that knows nothing of this folder."""
        done = subprocess.run(
            command, cwd=tmp_path, env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
        )
        return done.stdout

    replayed = away(home / "bin" / "numamig", "replay", "pull-database-to-its-cpus", "--json")
    assert json.loads(replayed)["passed"] is True
    paths = away(python, "-c", "import tui.app, numamig; print(tui.app.__file__, numamig.__file__)").split()
    assert all(path.startswith(str(home)) for path in paths)
