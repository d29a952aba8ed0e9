"""Holding on to real processes that end, that replace their memory, and whose pid was never theirs."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from numamig.backends.base import Hold
from numamig.backends.linux.backend import LinuxBackend
from numamig.errors import TargetGone
from numamig.model.process import Process
from tests.unit.linux.jail import need_root, run_in_child, turn_into_nobody


@pytest.fixture(scope="module")
def backend() -> LinuxBackend:
    return LinuxBackend()


@pytest.fixture(params=["pidfd", errno.ENOSYS, errno.EPERM], ids=["pidfd", "no pidfd", "pidfd forbidden"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pidfd_open, without it, and behind a filter that does not know it."""
    if request.param == "pidfd":
        return

    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "pidfd_open", refuse)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A shell that turns into ``cat`` when it is sent a line."""
    with subprocess.Popen(
        ["sh", "-c", "echo ready; read line; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        yield started
        started.kill()


def say(child: subprocess.Popen[bytes], text: bytes) -> None:
    assert child.stdin is not None
    child.stdin.write(text)
    child.stdin.flush()


def end(child: subprocess.Popen[bytes]) -> None:
    """It has ended, and nobody has taken note: a zombie."""
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def about(pid: int) -> list[str]:
    """What is open here of that process; a pidfd of an older kernel does not say whose it is."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            found.append(str(entry.readlink()))
    return [name for name in found if f"/{pid}" in name or "pidfd" in name]


@pytest.mark.usefixtures("way")
def test_a_process_that_lives_is_held(backend: LinuxBackend, child: subprocess.Popen[bytes]) -> None:
    hold: Hold = backend.hold(backend.process(child.pid))
    hold.check()
    hold.check()
    assert about(child.pid)
    hold.close()
    assert not about(child.pid)
    hold.close()


@pytest.mark.usefixtures("way")
def test_a_process_that_ends_is_gone_before_and_after_its_parent_takes_note(
    backend: LinuxBackend, child: subprocess.Popen[bytes]
) -> None:
    hold = backend.hold(backend.process(child.pid))
    end(child)
    with pytest.raises(TargetGone, match=f"process {child.pid} has ended"):
        hold.check()
    child.wait()
    with pytest.raises(TargetGone, match=f"process {child.pid} has ended"):
        hold.check()


@pytest.mark.usefixtures("way")
def test_a_process_that_replaces_its_memory_is_gone(backend: LinuxBackend, child: subprocess.Popen[bytes]) -> None:
    before = backend.process(child.pid)
    hold = backend.hold(before)
    say(child, b"\nhello\n")
    assert child.stdout is not None
    assert child.stdout.readline() == b"hello\n"
    assert backend.process(child.pid).identity == before.identity
    with pytest.raises(TargetGone, match="exec"):
        hold.check()
    backend.hold(before).check()  # whoever comes now holds on to the new memory


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("state", ["another's", "zombie", "gone"])
def test_who_is_not_there_cannot_be_held(backend: LinuxBackend, child: subprocess.Popen[bytes], state: str) -> None:
    process = backend.process(child.pid)
    if state == "another's":
        process = replace(process, start_time=process.start_time - 1)
    else:
        end(child)
    if state == "gone":
        child.wait()
    with pytest.raises(TargetGone) as caught:
        backend.hold(process)
    assert caught.value.pid == child.pid
    del caught
    assert not about(child.pid)


@pytest.mark.usefixtures("way")
def test_a_pid_that_is_a_threads_now(backend: LinuxBackend) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        seen = backend.process(os.getpid())
        with pytest.raises(TargetGone):
            backend.hold(replace(seen, pid=thread.native_id))
    finally:
        stop.set()
        thread.join()


@pytest.mark.usefixtures("way")
def test_a_hold_that_is_forgotten_is_closed(backend: LinuxBackend, child: subprocess.Popen[bytes]) -> None:
    hold = backend.hold(backend.process(child.pid))
    assert about(child.pid)
    del hold
    gc.collect()
    assert not about(child.pid)


def test_a_process_that_is_not_ours_can_be_held_though_not_looked_into(backend: LinuxBackend) -> None:
    need_root()
    me = backend.process(os.getpid())

    def held() -> str:
        turn_into_nobody()
        hold = backend.hold(me)
        hold.check()
        return "held"

    assert run_in_child(held) == "held"


def test_a_process_that_never_was() -> None:
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    with pytest.raises(TargetGone):
        LinuxBackend().hold(Process(most - 1, 1, "nobody", "root"))
