"""What tells the memory of a process from that which it has after an exec."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from numamig.backends.base import TellsMemoryImage
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.image import read_memory_image
from numamig.errors import TargetGone
from tests.unit.linux.test_procfs import write_process

AGAIN = "import os, sys; print(flush=True); sys.stdin.readline(); os.execv(sys.executable, sys.orig_argv)"
"""Says that it is there, and starts the same program with the same arguments again when it is told to."""


def test_an_exec_of_the_same_program_is_another_memory() -> None:
    backend = LinuxBackend()
    assert isinstance(backend, TellsMemoryImage)
    command = [sys.executable, "-S", "-c", AGAIN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        child.stdout.readline()
        before = backend.memory_image(child.pid)
        assert backend.memory_image(child.pid) == before
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        after = backend.memory_image(child.pid)
        child.kill()
    assert (after.boot, after.pid, after.start_time, after.executable) == (
        before.boot,
        before.pid,
        before.start_time,
        before.executable,
    )
    assert after != before


def test_what_it_is_made_of() -> None:
    image = LinuxBackend().memory_image(os.getpid())
    program = Path(sys.executable).stat()
    assert image.executable == (program.st_dev, program.st_ino)
    assert image.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert image.start_time == int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    assert len(image.layout) == 4


@pytest.mark.parametrize("start_code", [0, 1])
def test_where_the_layout_may_not_be_read(tmp_path: Path, start_code: int) -> None:
    """The kernel writes 1 for the program's start, and 0 for the others."""
    folder = write_process(tmp_path, 10, start=777)
    head, _, tail = (folder / "stat").read_text().rpartition(")")
    fields = tail.split()
    fields[26 - 3] = str(start_code)
    (folder / "stat").write_text(f"{head}) {' '.join(fields)}\n")
    image = read_memory_image(tmp_path, 10)
    assert (image.start_time, image.executable, image.layout, image.boot) == (777, (0, 0), (), "")


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(TargetGone):
        read_memory_image(tmp_path, 10)
