"""Run the small system commands the laboratory is built from, and turn their failures into LabError."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from numamig.errors import LabError

__all__ = ["find_tool", "run_tool"]

_SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")


def find_tool(name: str) -> str | None:
    """The path of command ``name``, or None.

    The system directories are searched after ``PATH``: an ordinary user's PATH often lacks ``/usr/sbin``,
    where ``depmod`` lives.
    """
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_DIRECTORIES))
    return shutil.which(name, path=search)


def run_tool(
    arguments: Sequence[str],
    *,
    working_directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    called: str | None = None,
) -> str:
    """Run a command to its end and return its standard output.

    ``environment`` is added to this process's own; ``called`` is what people call the command, by default its first
    two words. Raises LabError when the command does not exist or fails,
    with the last line it wrote to standard error, which is where apt and dpkg put the reason.
    """
    program = find_tool(arguments[0])
    if program is None:
        raise LabError(f"{arguments[0]} is not installed", hint=f"install the package that has {arguments[0]}")
    completed = subprocess.run(
        [program, *arguments[1:]],
        cwd=working_directory,
        # Plain C: the replies are parsed, and they are translated otherwise.
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode != 0:
        reason = (completed.stderr.strip() or completed.stdout.strip() or "no reason given").splitlines()[-1]
        raise LabError(f"{called or ' '.join(arguments[:2])} failed with exit status {completed.returncode}: {reason}")
    return completed.stdout
