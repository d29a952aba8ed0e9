"""Running the command as a user does: another process, its streams and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import forked

SCENARIO = """scenario: 1
title: small
kernel: linux-6.12
caller: {user: ada, sys_nice: false, sys_ptrace: false, sys_admin: false}
nodes:
  - {id: 0, cpus: 0-1, memory: 64MiB}
  - {id: 1, cpus: 2-3, memory: 64MiB}
  - {id: 3, memory: 8MiB}
processes:
  - {name: kthreadd, pid: 2, kernel_thread: true}
  - name: db
    pid: 10
    user: ada
    runs_on: [1]
    regions:
      - {kind: heap, size: 16MiB, nodes: {0: 3, 1: 1}, pattern: halves}
      - {kind: shmem, path: /dev/shm/x, permissions: rw-s, size: 1MiB, nodes: {0: 1}, share: x}
  - name: helper
    pid: 11
    user: ada
    runs_on: [0]
    regions:
      - {kind: shmem, path: /dev/shm/x, permissions: rw-s, size: 1MiB, share: x}
  - name: other
    pid: 12
    user: root
    regions:
      - {kind: heap, size: 2MiB, nodes: {0: 1}}
  - name: "e\\e[31mvil"
    pid: 13
    user: ada
    cmdline: ["\\e]0;pwned\\a"]
    regions:
      - {kind: file, path: "/tmp/\\e[2J\\n[bold]x", size: 2MiB, nodes: {0: 1}}
"""


class Numamig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scenario = folder / "small.yaml"
        self.scenario.write_text(SCENARIO)

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        if not any(name.startswith(("PYTHON", "LC_", "LANG")) for name in environment):  # else Python starts otherwise
            return forked.run(list(arguments), self.folder, {**os.environ, **environment})
        return subprocess.run(
            [sys.executable, "-m", "numamig", *arguments],
            capture_output=True,
            text=True,
            errors="replace",  # of another locale than ours
            check=False,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        )

    def answered(self, answer: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """On a terminal, where somebody answers one question; what is printed goes elsewhere."""
        terminal, end = os.openpty()
        command = [sys.executable, "-m", "numamig", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        with subprocess.Popen(
            command, stdin=end, stderr=end, stdout=subprocess.PIPE, text=True, cwd=self.folder, env=environment
        ) as child:
            os.close(end)
            os.write(terminal, answer.encode() + b"\n")
            said = b""
            try:
                while piece := os.read(terminal, 4096):
                    said += piece
            except OSError:  # EIO: nobody has the other end any more
                pass
            printed, _ = child.communicate()
        os.close(terminal)
        return subprocess.CompletedProcess(command, child.returncode, printed, said.decode())

    def small(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """On the small simulated machine."""
        return self("--scenario", str(self.scenario), *arguments)

    def json(self, *arguments: str) -> Any:
        done = self.small(*arguments, "--json")
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def numamig(tmp_path: Path) -> Callable[..., Any]:
    return Numamig(tmp_path)
