"""``import numamig``: its public names, each imported when it is used, and the example that it gives."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import numamig

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_there() -> None:
    assert numamig.__all__ == sorted(numamig.__all__)
    assert set(numamig.__all__) <= set(dir(numamig))
    for name in numamig.__all__:
        assert getattr(numamig, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'move_everything'"):
        numamig.move_everything  # noqa: B018


def test_those_who_check_types_see_the_same_names() -> None:
    """The block for type checkers has exactly what is found when a program runs, from the same modules."""
    (block,) = [
        node
        for node in ast.parse(inspect.getsource(numamig)).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    typed = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(typed) == set(numamig.__all__) - {"__version__"}
    for name, module in typed.items():
        assert getattr(sys.modules[str(module)], name) is getattr(numamig, name)


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys, numamig; print(sorted(name for name in sys.modules if name.startswith('numamig.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_the_example_of_the_package_runs(tmp_path: Path) -> None:
    example = [line[4:] for line in (numamig.__doc__ or "").splitlines() if line.startswith("    ")]
    code = "\n".join(example).replace('"linux"', '"simulator"').replace("4711", "7734")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "BatchMoved" in done.stdout and "moved" in done.stdout.splitlines()[-1]
