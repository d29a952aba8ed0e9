"""The journal as a file: whose it is, what survives, who may write at the same time, and what is forgotten."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import stat
import uuid
from pathlib import Path

import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import Flag
from numamig.errors import JournalError, UsageError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.locks import WriterLocks
from numamig.migrate.journal.place import state_directory
from numamig.migrate.journal.record import Recorder
from numamig.migrate.journal.store import Journal
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobState
from numamig.model.outcome import Outcome
from numamig.model.process import MemoryImage
from tests.forks import in_child, status
from tests.machines import PID, add_process, machine, pages_by_node

DAY_S = 24 * 3600.0
BOOT = str(uuid.uuid4())
IMAGE = MemoryImage(BOOT, 4711, 1000, (0, 1), ())
_TEXTS = {"kind": "move", "backend": "simulator", "machine": "m", "host": "h", "boot": "boot", "name": "db"}
_NUMBERS = {"uid": 0, "pid": 4711, "start_time": 1000, "device": 0, "inode": 1, "page_size": 4096, "planned": 1}
_MORE = {"layout": "[]", "request": "{}", "regions": "[]", "state": "done"}


def new_job(journal: Journal, age_days: float = 0.0, **columns: object) -> int:
    return journal.new_job({**_TEXTS, **_NUMBERS, **_MORE, "changed": 1e9 - age_days * DAY_S, **columns})


def numbers(journal: Journal) -> list[int]:
    return [job.id for job in journal.jobs()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return state_directory({"XDG_STATE_HOME": str(tmp_path)})


@pytest.fixture
def path(place: Path) -> Path:
    return place / "journal.sqlite"


# Whose it is


def modes(place: Path) -> dict[str, int]:
    return {str(p.relative_to(place)): stat.S_IMODE(p.stat().st_mode) for p in [place, *sorted(place.rglob("*"))]}


def test_nobody_else_can_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        journal = Journal(path)
        new_job(journal)
        locks = WriterLocks(path.parent / "locks")
        locks.take(IMAGE)
    finally:
        os.umask(before)
    files = {"journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", f"locks/{BOOT}-4711-1000.lock"}
    assert modes(path.parent) == {".": 0o700, "locks": 0o700, **dict.fromkeys(files, 0o600)}
    locks.give_back(IMAGE)


def test_what_others_could_read_they_cannot_any_more(path: Path, tmp_path: Path) -> None:
    Journal(path).close()
    path.chmod(0o666)
    path.parent.chmod(0o755)
    Journal(state_directory({"XDG_STATE_HOME": str(tmp_path)}) / path.name).close()
    assert modes(path.parent) == {".": 0o700, "journal.sqlite": 0o600}


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "numamig").symlink_to("elsewhere")
    with pytest.raises(JournalError, match="numamig is a symbolic link"):
        state_directory({"XDG_STATE_HOME": str(tmp_path)})
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_files_that_are_links_are_refused(path: Path, tmp_path: Path, there: bool) -> None:
    elsewhere = tmp_path / "elsewhere"
    if there:
        elsewhere.write_bytes(b"")
    path.symlink_to(elsewhere)
    (path.parent / "locks").mkdir()
    (path.parent / "locks" / f"{BOOT}-4711-1000.lock").symlink_to(elsewhere)
    locks = WriterLocks(path.parent / "locks")
    for act in (lambda: Journal(path), lambda: locks.take(IMAGE), lambda: locks.holder(IMAGE)):
        with pytest.raises(JournalError, match="is a symbolic link"):
            act()
    assert elsewhere.exists() == there
    assert not there or elsewhere.read_bytes() == b""


@pytest.mark.parametrize("name", ["journal.sqlite-wal", "journal.sqlite-shm", "journal.sqlite-journal"])
def test_what_sqlite_keeps_beside_it_is_no_link_either(path: Path, tmp_path: Path, name: str) -> None:
    Journal(path).close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"")
    path.with_name(name).symlink_to(elsewhere)
    with pytest.raises(JournalError, match=rf"{name} is a symbolic link") as error:
        Journal(path)
    assert "remove it, or set XDG_STATE_HOME" in str(error.value)
    assert elsewhere.read_bytes() == b""
    path.with_name(name).unlink()
    path.with_name(name).mkdir()
    with pytest.raises(JournalError, match=rf"{name} is no file"):
        Journal(path)


def test_locks_are_not_made_in_a_directory_that_is_a_link(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    locks = WriterLocks(path.parent / "locks")
    assert locks.holder(IMAGE) is None
    (path.parent / "locks").symlink_to(elsewhere)
    for act in (locks.take, locks.holder):
        with pytest.raises(JournalError, match="locks is a symbolic link"):
            act(IMAGE)
    assert list(elsewhere.iterdir()) == []


def test_locks_are_not_made_in_a_directory_of_somebody_else(path: Path) -> None:
    (path.parent / "locks").mkdir()
    try:
        os.chown(path.parent / "locks", 12345, -1)
    except PermissionError:
        pytest.skip("missing: CAP_CHOWN")
    with pytest.raises(JournalError, match="locks belongs to user id 12345, not to you"):
        WriterLocks(path.parent / "locks").take(IMAGE)


def test_what_is_somebody_elses_is_refused(path: Path, tmp_path: Path) -> None:
    Journal(path).close()
    try:
        os.chown(path, 12345, -1)
    except PermissionError:
        pytest.skip("missing: CAP_CHOWN")
    with pytest.raises(JournalError, match="belongs to user id 12345, not to you"):
        Journal(path)
    os.chown(path, os.geteuid(), -1)
    beside = path.with_name(path.name + "-wal")
    beside.write_bytes(b"")
    os.chown(beside, 12345, -1)
    with pytest.raises(JournalError, match="-wal belongs to user id 12345, not to you"):
        Journal(path)
    os.chown(path.parent, 12345, -1)
    with pytest.raises(JournalError, match="belongs to user id 12345, not to you"):
        state_directory({"XDG_STATE_HOME": str(tmp_path)})


def test_what_is_no_file_and_no_directory_is_refused(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(JournalError, match="is no file"):
        Journal(path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "numamig").write_text("")
    with pytest.raises(JournalError, match="is no directory"):
        state_directory({"XDG_STATE_HOME": str(tmp_path / "other")})


def test_where_it_is(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert state_directory(home) == tmp_path / ".local/state/numamig"
    assert state_directory({**home, "XDG_STATE_HOME": "relative"}) == tmp_path / ".local/state/numamig"
    assert state_directory({**home, "XDG_STATE_HOME": str(tmp_path / "s")}) == tmp_path / "s/numamig"


def test_where_nothing_can_be_written_there_is_none() -> None:
    with pytest.raises(JournalError, match="no journal can be kept in /proc/numamig") as error:
        state_directory({"XDG_STATE_HOME": "/proc"})
    assert "nothing is moved without one" in str(error.value)


# What is in it


def test_a_later_version_is_left_alone(path: Path) -> None:
    journal = Journal(path)
    with journal.transaction() as db:
        db.execute("PRAGMA user_version=3")
    journal.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"later numamig \(format 3\)"):
        Journal(path)
    assert path.read_bytes() == before


def test_an_earlier_version_is_understood(path: Path) -> None:
    backend = machine()
    add_process(backend, [0] * 10)
    journal = Journal(path)
    recorder = Recorder(journal, WriterLocks(None), backend)
    plan = plan_request(backend, Request(PID, Node(1), sources=(0,), shared=True))
    number = recorder.begin(plan).number
    said = {"pid": PID, "target": 1, "retry": plan.request.as_dict()["retry"], "kinds": [], "sources": [0]}
    said |= {"within": None, "shared": True}
    with journal.transaction() as db:
        db.execute("UPDATE job SET request = ?", (json.dumps(said),))
        db.execute("PRAGMA user_version=1")
    journal.close()
    again = Journal(path)
    assert Request.from_dict(again.job(number).request) == plan.request
    again.close()


def test_what_is_no_journal_is_left_alone(path: Path) -> None:
    path.write_bytes(b"something else" * 1000)
    path.chmod(0o600)
    with pytest.raises(JournalError, match="not a database"):
        Journal(path)
    assert path.read_bytes() == b"something else" * 1000


def test_it_waits_for_no_disk_but_survives_its_process(path: Path) -> None:
    def die() -> None:
        journal = Journal(path)
        with journal.transaction() as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert db.execute("PRAGMA synchronous").fetchone() == (1,)
        new_job(journal, name="written")
        with journal.transaction() as db:
            db.execute("UPDATE job SET name = 'half way'")
            os.kill(os.getpid(), signal.SIGKILL)

    assert status(in_child(die)) == -signal.SIGKILL
    journal = Journal(path)
    assert [job.name for job in journal.jobs()] == ["written"]
    with pytest.raises(UsageError, match="no job 7 in the journal"):
        journal.job(7)


def test_many_may_open_and_write_at_the_same_time(path: Path) -> None:
    ready, go = os.pipe()

    def work() -> None:
        os.close(go)
        os.read(ready, 1)  # until all are there
        journal = Journal(path)
        for _ in range(10):
            new_job(journal)
        journal.close()

    children = [in_child(work) for _ in range(8)]
    os.close(ready)
    os.close(go)
    assert [status(child) for child in children] == [0] * 8
    assert numbers(Journal(path)) == list(range(1, 81))


def test_a_second_connection_takes_no_locks_from_the_first(path: Path) -> None:
    def locks() -> list[str]:
        lines = Path("/proc/locks").read_text().splitlines()
        mine = [line.split(None, 1)[1] for line in lines if f" {os.getpid()} " in line]
        return sorted(line for line in mine if f":{path.stat().st_ino} " in line)

    first = Journal(path)
    held = locks()
    assert held, "SQLite holds a lock of a file in WAL mode for as long as it is open"
    second = Journal(path)
    assert locks() == held
    second.close()
    first.close()


def test_what_moved_is_summed_up_where_it_is_kept(path: Path) -> None:
    backend = machine()
    busy = dict.fromkeys(range(0, 3000, 7), Flag.ISOLATED)
    (backing,) = add_process(backend, [0] * 3000, flags=busy)
    journal = Journal(path)
    request = Request(PID, Node(1), batch_pages=2, most_calls=None, retry=Retry(RetryMode.NEVER))
    plan = plan_request(backend, request)
    recorder = Recorder(journal, WriterLocks(None), backend)
    record = recorder.begin(plan)
    job = Job(record.number, backend, plan, record)
    job.run()
    for _ in range(700):
        job.step()
    assert len(journal.batch_numbers(job.number)) == 700
    asked: list[str] = []
    with journal.transaction() as db:
        db.set_trace_callback(asked.append)
    moved = pages_by_node(backing)[1]
    # The result of the last step is written with the next one.
    assert moved - 2 <= journal.moved_pages(job.number, 4096) < moved
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 2
    job.cancel()
    assert journal.moved_pages(job.number, 4096) == moved == 1400 - 200
    assert journal.moved_pages(7, 4096) == 0


def test_who_only_reads_changes_nothing(path: Path) -> None:
    journal = Journal(path)
    new_job(journal, name="first")
    reading = Journal(path, writes=False)
    new_job(journal, name="second")  # in the file beside it
    assert [job.name for job in reading.jobs()] == ["first", "second"]
    with pytest.raises(JournalError, match="readonly"):
        new_job(reading)
    reading.close()
    journal.close()
    before = path.read_bytes()

    def read() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        assert [job.name for job in Journal(path, writes=False).jobs()] == ["first", "second"]

    assert status(in_child(read)) == 0
    assert path.read_bytes() == before
    with pytest.raises(JournalError, match="unable to open"):
        Journal(path.with_name("other"), writes=False)
    assert not path.with_name("other").exists()


# What is forgotten


def test_old_jobs_are_forgotten_with_all_that_they_moved(path: Path) -> None:
    journal = Journal(path)
    for age in (40, 31, 29, 0):
        job = new_job(journal, age)
        with journal.transaction() as db:
            rows = [(job, n, os.urandom(40_000)) for n in range(50)]
            db.executemany("INSERT INTO batch (job, number, intended, pages) VALUES (?, ?, ?, 1)", rows)
            db.execute("INSERT INTO act VALUES (0, ?, 'run', 'h', NULL, 0)", (job,))
    journal.close()
    before = path.stat().st_size
    journal = Journal(path)
    assert journal.prune(now=1e9) == 2
    assert numbers(journal) == [3, 4]
    assert [journal.size_bytes(job) for job in (1, 2, 3, 4)] == [0, 0, 50 * 40_024, 50 * 40_024]
    assert [len(journal.acts(job)) for job in (1, 3)] == [0, 1]
    assert journal.prune(now=1e9) == 0
    journal.close()
    assert path.stat().st_size < 0.6 * before


def test_how_long_is_said_by_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path)
    for age in (40, 8, 6):
        new_job(journal, age)
    monkeypatch.setenv("NUMAMIG_KEEP_DAYS", "60")
    assert journal.prune(now=1e9) == 0
    monkeypatch.setenv("NUMAMIG_KEEP_DAYS", "7")
    assert journal.prune(now=1e9) == 2
    assert numbers(journal) == [3]
    for wrong in ("0", "-1", "7d", "1e3", "99999999"):
        monkeypatch.setenv("NUMAMIG_KEEP_DAYS", wrong)
        with pytest.raises(UsageError, match="NUMAMIG_KEEP_DAYS"):
            journal.prune(now=1e9)
    monkeypatch.setenv("NUMAMIG_KEEP_DAYS", "")
    assert journal.prune(now=1e9 + 25 * DAY_S) == 1


@pytest.mark.parametrize("state", ["running", "held", "cancelled", "stopped"])
def test_what_is_unfinished_stays_until_it_is_old_whatever_boot_it_is_of(path: Path, state: str) -> None:
    journal = Journal(path)
    for boot in ("boot", "earlier"):
        new_job(journal, 29, state=state, boot=boot)
    for boot in ("boot", "earlier", None):
        assert journal.prune(now=1e9, boot=boot) == 0
    assert numbers(journal) == [1, 2]


def test_what_a_younger_job_takes_back_stays(path: Path) -> None:
    journal = Journal(path)
    old = new_job(journal, 50)
    undo = new_job(journal, 40, kind="undo", undoes=old)
    new_job(journal, 5, kind="undo", undoes=undo)
    new_job(journal, 50)
    assert journal.prune(now=1e9) == 1
    assert numbers(journal) == [1, 2, 3]
    assert journal.prune(now=1e9 + 100 * DAY_S) == 3


def test_what_can_still_be_gone_on_with_stays(path: Path) -> None:
    journal = Journal(path)
    states = ("running", "held", "done", "cancelled", "stopped")
    for boot in ("boot", "earlier"):
        for state in states:
            new_job(journal, 50, state=state, boot=boot)
    assert journal.prune(now=1e9, boot="boot") == 8
    assert [job.state for job in journal.jobs()] == ["running", "held"]


def test_no_job_has_the_number_of_another(path: Path) -> None:
    journal = Journal(path)
    assert [new_job(journal, 50), new_job(journal, 50)] == [1, 2]
    journal.prune(now=1e9)
    assert new_job(journal) == 3


# What cannot be written is not moved


def test_on_a_full_disk_nothing_moves_that_is_not_in_it(path: Path) -> None:
    def work() -> None:
        backend = machine()
        (backing,) = add_process(backend, [0, 2] * 20_000)
        journal = Journal(path)
        recorder = Recorder(journal, WriterLocks(None), backend)
        job = begun(backend, recorder)
        full = path.with_name(path.name + "-wal").stat().st_size + 100_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))
        for _ in run_job(job, backend):
            pass
        moved = job.snapshot().outcomes[Outcome.MOVED]
        assert job.state is JobState.STOPPED
        assert "cannot be used" in job.reason
        assert 0 < moved == pages_by_node(backing)[1] < 40_000
        assert job.snapshot().outcomes.total == 40_000
        entry = recorder.journal.job(job.number)
        assert moved == sum(batch(journal, entry.id, n) for n in journal.batch_numbers(entry.id))
        # From the beginning
        (other,) = add_process(backend, [0] * 1000, pid=PID + 1)
        with pytest.raises(JournalError):
            for _ in range(100):
                begun(backend, recorder, PID + 1)
        assert pages_by_node(other) == {0: 1000}

    assert status(in_child(work)) == 0


def batch(journal: Journal, job: int, number: int) -> int:
    entry = journal.batch(job, number)
    assert entry is not None
    return entry.pages


def begun(backend: SimulatorBackend, recorder: Recorder, pid: int = PID) -> Job:
    plan = plan_request(backend, Request(pid, Node(1), batch_pages=100, most_calls=None))
    record = recorder.begin(plan)
    return Job(record.number, backend, plan, record)


def test_a_damaged_journal_says_so_and_nothing_moves(path: Path) -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    journal = Journal(path)
    recorder = Recorder(journal, WriterLocks(None), backend)
    job = begun(backend, recorder)
    other = sqlite3.connect(path)
    other.execute("DROP TABLE batch")
    other.close()
    for _ in run_job(job, backend):
        pass
    assert job.state is JobState.STOPPED
    assert "no such table: batch" in job.reason
    assert pages_by_node(backing) == {0: 1000}
    assert job.snapshot().outcomes[Outcome.NOT_TRIED] == 1000
