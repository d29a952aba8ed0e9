"""Where the journal is: a directory of the user's own, that nobody else can read or put anything into."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from numamig.errors import JournalError, UsageError

__all__ = [
    "DAY_S",
    "demand_private",
    "kept_for_s",
    "make_private",
    "make_private_directory",
    "open_private",
    "state_directory",
]

DAY_S = 24 * 3600.0
_MOST_DAYS = 36_500


def state_directory(environment: Mapping[str, str] = os.environ, *, create: bool = True) -> Path:
    """``$XDG_STATE_HOME/numamig``, 0700, made where it does not exist yet. Source: XDG Base Directory Specification.

    :raises JournalError: it is a symbolic link, no directory, or somebody else's.
    """
    base = Path(environment.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():
        base = Path(environment.get("HOME") or Path.home()) / ".local" / "state"
    place = base / "numamig"
    try:
        if create:
            base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _nowhere(place, error) from None
    make_private_directory(place, create=create)
    return place


def kept_for_s(environment: Mapping[str, str] = os.environ) -> float:
    """How long jobs are remembered that nothing is done about: ``NUMAMIG_KEEP_DAYS``, or 30 days.

    :raises UsageError: that is no number of days.
    """
    said = environment.get("NUMAMIG_KEEP_DAYS", "").strip() or "30"
    if not (said.isascii() and said.isdecimal() and 1 <= int(said) <= _MOST_DAYS):
        raise UsageError(
            f"NUMAMIG_KEEP_DAYS is {said!r}, which is no number of days",
            hint=f"set it to a number from 1 to {_MOST_DAYS}",
        )
    return int(said) * DAY_S


def make_private_directory(place: Path, *, create: bool = True) -> None:
    """A directory of the user's own, 0700, made where there is none; a link to one is none.

    :raises JournalError: it is a symbolic link, no directory, or somebody else's; or it cannot be made.
    """
    try:
        if create:
            with suppress(FileExistsError):
                place.mkdir(mode=0o700)
        found = place.lstat()
        _demand_own(place, found, stat.S_ISDIR, "directory")
        if found.st_mode & 0o077:
            place.chmod(0o700)
    except OSError as error:
        raise _nowhere(place, error) from None


def open_private(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """A descriptor of a file of the user's own, 0600; closed on exec.

    :raises JournalError: it is a symbolic link, no file, or somebody else's; or cannot be opened.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise _foreign(path, "is a symbolic link") from None
        hint = "nothing is moved without a journal"
        raise JournalError(f"{path}: {error.strerror}", hint=hint, errno=error.errno) from None
    try:
        found = os.fstat(descriptor)
        _demand_own(path, found, stat.S_ISREG, "file")
        if found.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def make_private(path: Path) -> None:
    """A file of the user's own, 0600, made where there is none.

    One that is there is not opened: closing it would drop every lock that this process has on it, of other connections
    too. Sources: fcntl(2), "Record locking"; sqlite.org/howtocorrupt.html, 2.2.

    :raises JournalError: it is a symbolic link, no file, or somebody else's; or cannot be made.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return
    except FileExistsError:
        pass
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}", hint="nothing is moved without a journal") from None
    _demand_private(path)


def demand_private(*paths: Path) -> None:
    """Files that others may make, as SQLite does beside a database, are the user's own and 0600; or are not there.

    :raises JournalError: one is a symbolic link, no file, or somebody else's.
    """
    for path in paths:
        with suppress(FileNotFoundError):
            _demand_private(path)


def _demand_private(path: Path) -> None:
    found = path.lstat()
    _demand_own(path, found, stat.S_ISREG, "file")
    if found.st_mode & 0o077:
        try:
            path.chmod(0o600)
        except OSError as error:
            raise JournalError(
                f"{path}: {error.strerror}", hint="others may read it: chmod 600", errno=error.errno
            ) from None


def _demand_own(path: Path, found: os.stat_result, is_kind: object, kind: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise _foreign(path, "is a symbolic link")
    assert callable(is_kind)
    if not is_kind(found.st_mode):
        raise _foreign(path, f"is no {kind}")
    if found.st_uid != os.geteuid():
        raise _foreign(path, f"belongs to user id {found.st_uid}, not to you")


def _foreign(path: Path, why: str) -> JournalError:
    return JournalError(f"{path} {why}", hint="nothing is written there: remove it, or set XDG_STATE_HOME")


def _nowhere(place: Path, error: OSError) -> JournalError:
    return JournalError(
        f"no journal can be kept in {place}: {error.strerror}",
        hint="nothing is moved without one: set XDG_STATE_HOME to a directory that can be written",
        errno=error.errno,
    )
