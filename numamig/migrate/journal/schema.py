"""The format of the journal, and how the file is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

__all__ = ["COLUMNS", "FROM_1", "SCHEMA", "VERSION", "connect", "connect_to_read"]

VERSION = 2
SCHEMA = """
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    undoes INTEGER REFERENCES job (id),
    backend TEXT NOT NULL, machine TEXT NOT NULL, host TEXT NOT NULL, login_uid INTEGER, uid INTEGER NOT NULL,
    boot TEXT NOT NULL, pid INTEGER NOT NULL, start_time INTEGER NOT NULL, device INTEGER NOT NULL,
    inode INTEGER NOT NULL, layout TEXT NOT NULL, name TEXT NOT NULL,
    page_size INTEGER NOT NULL, planned INTEGER NOT NULL, request TEXT NOT NULL, regions TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, outcomes TEXT NOT NULL, counters TEXT NOT NULL,
    created REAL NOT NULL, changed REAL NOT NULL
);
CREATE TABLE batch (
    job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, intended BLOB NOT NULL, left BLOB, pages INTEGER NOT NULL, call_ns INTEGER,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE act (
    at REAL NOT NULL, job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    what TEXT NOT NULL, host TEXT NOT NULL, login_uid INTEGER, uid INTEGER NOT NULL
);
CREATE INDEX act_of_job ON act (job);
"""
FROM_1 = """
UPDATE job SET request = json_remove(
    json_set(request, '$.to', json_object('node', json_extract(request, '$.target'))), '$.target'
)
"""
"""What makes it of format 2: pages need not all go to one node."""
COLUMNS = (
    "id, kind, undoes, backend, machine, host, login_uid, uid, boot, pid, start_time, device, inode, layout, name,"
    " page_size, planned, request, regions, state, reason, outcomes, counters, created, changed"
)
"""Of a job, in the order in which they are read."""


def connect(name: str) -> sqlite3.Connection:
    """For any thread, one at a time; a URI or the name of a file, or of one in memory."""
    return sqlite3.connect(name, timeout=10.0, isolation_level=None, check_same_thread=False, uri=name[:5] == "file:")


def connect_to_read(path: Path) -> sqlite3.Connection:
    """For reading, also where nothing can be written. Source: sqlite.org/wal.html ("Read-Only Databases").

    :raises sqlite3.Error: it cannot be read.
    """
    uri = path.absolute().as_uri()
    db = connect(f"{uri}?mode=ro")
    try:
        db.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        # Its index cannot be made: then nobody can write here either, and what is in the file is all there is.
        db.close()
        db = connect(f"{uri}?immutable=1")
    return db
