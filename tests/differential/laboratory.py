"""A talk with the executor in the laboratory's guest: batches of cases go in as files, reports come back as lines."""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from numamig.errors import LabError
from numamig.lab.boot import run
from numamig.lab.kernels import default_cache_directory, fetch_kernel
from tests.differential.case import Case, Report

__all__ = ["Talk", "hold_talk"]

Talk = Generator[Sequence[Case], list[Report], None]
"""Yields batches of cases and is sent what the guest reports of them; the guest is let go when it ends."""

_EXECUTOR = Path(__file__).parent / "guest" / "executor.py"
_DATA_PAGES = 64


class _Listener(io.RawIOBase):
    """Reads the guest's lines as they come, and gives it the next batch when it has done one."""

    def __init__(self, talk: Talk, directory: Path, narrate: Callable[[str], None]) -> None:
        self._talk, self._directory, self._narrate = talk, directory, narrate
        self._rest = b""
        self.heard = False
        """Whether the guest has said anything."""
        self._reports: list[Report] = []
        self._number = 0
        self._give(next(talk))

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hear(line.decode(errors="replace"))
        return len(data)

    def _hear(self, line: str) -> None:
        self.heard = True
        try:
            said = json.loads(line)
        except ValueError:
            self._narrate(line)
            return
        if "case" in said:
            self._reports.append(said)
        elif "batch" in said:
            reports, self._reports = self._reports, []
            try:
                batch = self._talk.send(reports)
            except StopIteration:
                (self._directory / "stop").touch()
            else:
                self._give(batch)
        else:
            self._narrate(line)

    def _give(self, batch: Sequence[Case]) -> None:
        """The file appears whole."""
        partial = self._directory / "partial"
        partial.write_text("".join(json.dumps(case) + "\n" for case in batch), encoding="ascii")
        partial.rename(self._directory / f"batch-{self._number}.jsonl")
        self._number += 1


def hold_talk(series: str, talk: Talk, timeout_seconds: float, narrate: Callable[[str], None]) -> int:
    """Boot a kernel of this series, and hold the talk in it; returns the executor's exit code.

    Raises LabError where the machine dies or outlasts the timeout.
    """
    kernel = fetch_kernel(series, narrate=narrate)
    # Below the cache, since the guest does not see the host's temporary files everywhere.
    with tempfile.TemporaryDirectory(prefix="differential-", dir=default_cache_directory()) as name:
        directory = Path(name)
        (directory / "data").write_bytes(b"".join(bytes([1 + page]) * 4096 for page in range(_DATA_PAGES)))
        listener = _Listener(talk, directory, narrate)
        command = [sys.executable, "-S", str(_EXECUTOR), str(directory)]
        for last in (False, True):
            try:
                return run(command, kernel, timeout_seconds=timeout_seconds, stdout=listener)  # type: ignore[arg-type]
            except LabError as error:
                # A kernel may die while it boots in emulation, once in many times, and that says nothing about calls.
                if last or listener.heard:
                    raise
                narrate(f"once more, since it had not said a word: {error}")
        raise AssertionError("either it ran or it raised")
