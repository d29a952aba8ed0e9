"""One writer for each process: who holds its lock, for how long, and who is told."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from pathlib import Path

import pytest

from numamig.errors import RefusedError
from numamig.migrate.journal.locks import WriterLocks
from numamig.model.process import MemoryImage
from tests.forks import in_child, status

BOOT = str(uuid.uuid4())  # names are the machine's: tests that run beside these have others
IMAGE = MemoryImage(BOOT, 4711, 1000, (0, 1), ())


def test_a_second_process_is_refused_and_told_who_it_is(tmp_path: Path) -> None:
    report, told = os.pipe()

    def hold() -> None:
        WriterLocks(tmp_path / "locks").take(IMAGE)
        os.write(told, b"x")
        signal.pause()

    child = in_child(hold)
    os.read(report, 1)
    locks = WriterLocks(tmp_path / "locks")
    assert locks.holder(IMAGE) == child
    with pytest.raises(RefusedError, match=rf"another numamig \(pid {child}\) is moving pages of pid 4711"):
        locks.take(IMAGE)
    other = MemoryImage(BOOT, 4711, 2000, (0, 1), ())
    locks.take(other)
    locks.give_back(other)
    os.kill(child, signal.SIGKILL)
    assert status(child) == -signal.SIGKILL
    assert locks.holder(IMAGE) is None
    locks.take(IMAGE)
    assert locks.holder(IMAGE) == os.getpid()
    locks.give_back(IMAGE)
    for end in (report, told):
        os.close(end)


def test_jobs_of_one_program_share_a_lock(tmp_path: Path) -> None:
    locks, others = WriterLocks(tmp_path / "locks"), WriterLocks(tmp_path / "locks")
    locks.take(IMAGE)
    locks.take(IMAGE)
    locks.give_back(IMAGE)
    with pytest.raises(RefusedError):
        others.take(IMAGE)
    locks.give_back(IMAGE)
    assert list((tmp_path / "locks").iterdir()) == []
    others.take(IMAGE)
    assert locks.holder(IMAGE) == os.getpid()
    others.give_back(IMAGE)


def test_who_asks_is_in_nobodys_way(tmp_path: Path) -> None:
    locks, asking = WriterLocks(tmp_path / "locks"), WriterLocks(tmp_path / "locks")
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            asking.holder(IMAGE)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(500):
            locks.take(IMAGE)
            locks.give_back(IMAGE)
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_second_state_directory_is_no_way_around(tmp_path: Path) -> None:
    mine, theirs = WriterLocks(tmp_path / "mine"), WriterLocks(tmp_path / "theirs")
    mine.take(IMAGE)
    by = rf"another numamig \(pid {os.getpid()} of user id {os.getuid()}\) is moving pages of pid 4711"
    for _ in range(2):
        with pytest.raises(RefusedError, match=by):
            theirs.take(IMAGE)
    assert list((tmp_path / "theirs").iterdir()) == []
    mine.give_back(IMAGE)
    theirs.take(IMAGE)
    with pytest.raises(RefusedError, match="another numamig"):
        mine.take(IMAGE)
    theirs.give_back(IMAGE)


def test_another_user_is_refused_and_is_free_when_the_first_one_is_killed(tmp_path: Path) -> None:
    report, told = os.pipe()
    (tmp_path / "theirs").mkdir(mode=0o700)
    try:
        os.chown(tmp_path / "theirs", 12345, -1)
    except PermissionError:
        pytest.skip("missing: CAP_CHOWN, CAP_SETUID")

    def hold() -> None:
        locks = WriterLocks(Path("locks"))
        os.chdir(tmp_path / "theirs")
        os.setresuid(12345, 12345, 12345)
        locks.take(IMAGE)
        os.write(told, b"x")
        signal.pause()

    child = in_child(hold)
    os.close(told)
    assert os.read(report, 1) == b"x"
    os.close(report)
    locks = WriterLocks(tmp_path / "mine")
    with pytest.raises(RefusedError, match=rf"another numamig \(pid {child} of user id 12345\) is moving pages"):
        locks.take(IMAGE)
    assert locks.holder(IMAGE) is None, "of jobs in this journal"
    os.kill(child, signal.SIGKILL)
    assert status(child) == -signal.SIGKILL
    locks.take(IMAGE)
    assert locks.holder(IMAGE) == os.getpid()
    locks.give_back(IMAGE)
