"""Files that the console leaves behind: screenshots and reports, named by when they were made, never over another."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from numamig.errors import UsageError

__all__ = ["keep"]


def keep(directory: Path, when: str, suffix: str, text: str) -> Path:
    """Write a new file; where it is.

    :param when: a part of the name
    :raises UsageError: it cannot be written there.
    """
    for number in count(1):
        path = directory / f"numamig-{when}{f'-{number}' if number > 1 else ''}{suffix}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            if not path.exists():  # it is the directory that is a file
                raise UsageError(f"{directory} is no directory", hint="--screenshots names another") from None
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written: {error.strerror}", hint="--screenshots names another directory"
            ) from error
        else:
            return path
    raise AssertionError("there is always another number")
