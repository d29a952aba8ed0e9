"""The list of processes, read again: what changes is seen, at once or a little later."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from numamig.backends.linux import roster
from numamig.backends.linux.procfs import read_text
from numamig.backends.linux.roster import Roster

PAGE = 4096


def add(
    root: Path, pid: int, name: str = "db", *, start: int = 500, rss: int = 10, cpu: int = 1, **about: object
) -> None:
    folder = root / str(pid)
    folder.mkdir(exist_ok=True)
    state, flags, uid = about.get("state", "S"), about.get("flags", 0), about.get("uid", 0)
    fields = [state, 1, 1, 1, 0, -1, flags, *[0] * 10, about.get("threads", 1), 0, start, 1 << 20, rss, *[0] * 14, cpu]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))} 0 0\n")
    (folder / "status").write_text(f"Name:\t{name}\nTgid:\t{pid}\nUid:\t{uid}\t0\nVmRSS:\t{rss * 4} kB\n")
    (folder / "cmdline").write_bytes(b"\0".join([name.encode(), b"-x"]) + b"\0")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files read for those who are known."""
    found: list[str] = []

    def counting(path: str, pid: int) -> str:
        found.append(path)
        return read_text(path, pid)

    monkeypatch.setattr(roster, "read_text", counting)
    return found


def test_known_processes_are_read_again_from_one_file(tmp_path: Path, reads: list[str]) -> None:
    for pid in range(1, 9):
        add(tmp_path, pid)
    known = Roster(tmp_path, {1: 0, 3: 1}.get, PAGE)
    first = known.read()
    assert [p.pid for p in first] == list(range(1, 9))
    assert reads == []
    second = known.read()
    assert len(reads) == 7  # one of eight is read in full
    assert second == first
    add(tmp_path, 3, rss=99, cpu=3, threads=4)
    third = next(p for p in known.read() if p.pid == 3)
    assert (third.resident_bytes, third.cpu_nodes, third.threads) == (99 * PAGE, (1,), 4)
    assert third.cmdline == ("db", "-x")


@pytest.mark.parametrize("change", [{"name": "renamed"}, {"start": 900}, {"state": "Z"}])
def test_another_name_start_or_state_is_read_in_full(tmp_path: Path, change: dict[str, object]) -> None:
    add(tmp_path, 5)
    known = Roster(tmp_path, {}.get, PAGE)
    (before,) = known.read()
    add(tmp_path, 5, **{"uid": 33, **change})  # type: ignore[arg-type]
    (after,) = known.read()
    assert after.user != before.user
    assert after.zombie == (change.get("state") == "Z")
    assert (after.name, after.start_time) == (change.get("name", "db"), change.get("start", 500))


def test_another_user_is_seen_within_eight_rounds(tmp_path: Path) -> None:
    add(tmp_path, 5)
    known = Roster(tmp_path, {}.get, PAGE)
    (before,) = known.read()
    add(tmp_path, 5, uid=33)
    users = [known.read()[0].user for _ in range(8)]
    assert users[-1] != before.user


def test_kernel_threads_are_left_out_and_their_pids_may_be_given_away(tmp_path: Path, reads: list[str]) -> None:
    add(tmp_path, 2, "kthreadd", flags=0x200000)
    known = Roster(tmp_path, {}.get, PAGE)
    assert known.read() == known.read() == []
    assert reads == []
    add(tmp_path, 2, "db", start=900)
    assert [len(known.read()) for _ in range(8)][-1] == 1


def test_who_ended_is_forgotten(tmp_path: Path) -> None:
    add(tmp_path, 5)
    add(tmp_path, 6)
    known = Roster(tmp_path, {}.get, PAGE)
    known.read()
    for file in (tmp_path / "5").iterdir():
        file.unlink()
    assert [p.pid for p in known.read()] == [6]
    (tmp_path / "5").rmdir()
    assert [p.pid for p in known.read()] == [6]


def test_names_do_not_mislead(tmp_path: Path) -> None:
    add(tmp_path, 7, "a) R 1 (b", rss=33)
    known = Roster(tmp_path, {}.get, PAGE)
    known.read()
    add(tmp_path, 7, "a) R 1 (b", rss=44)
    assert known.read()[0].resident_bytes == 44 * PAGE


def test_the_two_ways_tell_the_same_of_this_process() -> None:
    known = Roster(Path("/proc"), lambda cpu: 0, os.sysconf("SC_PAGESIZE"))
    first = {p.pid: p for p in known.read()}
    second = {p.pid: p for p in known.read()}
    me = os.getpid()
    assert second[me].identity == first[me].identity
    assert abs(second[me].resident_bytes - first[me].resident_bytes) < 16 << 20
