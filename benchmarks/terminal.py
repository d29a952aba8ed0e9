"""A program in a terminal of its own: keys go in, and what it paints is read off a screen of cells.

The screen understands what Textual writes to a terminal that it takes for a modern one: places, styles, text, and the
marks around an update that is to be seen at once (mode 2026). It is no emulator of anything else.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len

__all__ = ["COLUMNS", "ROWS", "Screen", "Terminal", "Timeout"]

COLUMNS, ROWS = 120, 40
_SEQUENCE = re.compile(
    r"\x1b(?:\[(?P<parameters>[0-9;:<=>?]*)(?P<between>[ -/]*)(?P<final>[@-~])"
    r"|[\]P_X^].*?(?:\x07|\x1b\\)|[ -/]*[0-Z^-~])",
    re.DOTALL,
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:<=>?]*[ -/]*|[\]P_X^][^\x07\x1b]*\x1b?|[ -/]*)?\Z")
_GROUND = re.compile(r"\x1b\[[0-9;:]*?(?<=[\[;:])(48;(?:2;\d+;\d+;\d+|5;\d+)|4[0-7]|10[0-7])(?=[;m])")
_LINE_ENDS = re.compile(r"([\r\n])")
_MAYBE_WIDE = "\u1100"
_BEGUN = b"\x1b[?2026h"
_WHOLE = b"\x1b[?2026l"
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_READ = 1 << 16
_SWITCH_S = 0.0002
_NEWS = threading.Condition()
_NOT_INHERITED = ("NO_COLOR", "ESCDELAY", "TMUX", "COLUMNS", "LINES", "PYTHONDONTWRITEBYTECODE")


class Timeout(Exception):
    """What was waited for was not painted."""


class Screen:
    """Cells as a terminal would show them, and the answers that it would give."""

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS) -> None:
        self.columns, self.rows = columns, rows
        self.whole = True
        """No update is in the middle of being written."""
        self.updates = 0
        """Updates that were finished."""
        self.painted = False
        """Whether anything was drawn at all."""
        self._text = [[" "] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]
        self._x = self._y = 0
        self._style = ""
        self._rest = ""

    def feed(self, written: str) -> str:
        """Take what a program wrote; what a terminal would answer to it."""
        written, at, answers = self._rest + written, 0, ""
        unfinished = _UNFINISHED.search(written)
        end = unfinished.start() if unfinished is not None else len(written)
        self._rest = written[end:]
        for match in _SEQUENCE.finditer(written, 0, end):
            self._put(written[at : match.start()])
            at = match.end()
            if match["final"]:
                answers += self._obey(match["parameters"], match["between"], match["final"], match[0])
        self._put(written[at:end])
        return answers

    def line(self, row: int) -> str:
        """The text of a row; the second half of a wide character is empty."""
        return "".join(self._text[row])

    def lines(self) -> list[str]:
        return [self.line(row) for row in range(self.rows)]

    def style(self, row: int, column: int) -> str:
        """As it was written (SGR), to be compared with others."""
        return self._styles[row][column]

    def ground(self, row: int, column: int) -> str:
        """The colour behind a cell, as it was written; ``""`` for the terminal's own."""
        found = _GROUND.findall(self._styles[row][column])
        return found[-1] if found else ""

    def find(self, words: str) -> tuple[int, int] | None:
        """Row and column where some words stand first."""
        for row in range(self.rows):
            column = self.line(row).find(words)
            if column >= 0:
                return row, column
        return None

    def _put(self, text: str) -> None:
        for part in _LINE_ENDS.split(text):
            if part == "\n":
                self._y = min(self.rows - 1, self._y + 1)
            elif part == "\r":
                self._x = 0
            elif part and max(part) < _MAYBE_WIDE:
                self._draw(list(part))
            else:
                for character in part:
                    self._draw([character, *[""] * (cell_len(character) - 1)])

    def _draw(self, cells: list[str]) -> None:
        cells = cells[: self.columns - self._x]
        end = self._x + len(cells)
        self._text[self._y][self._x : end] = cells
        self._styles[self._y][self._x : end] = [self._style] * len(cells)
        self._x = end
        self.painted = True

    def _obey(self, parameters: str, between: str, final: str, sequence: str) -> str:
        if final == "m" and not parameters.startswith((">", "?")):
            self._style = "" if parameters in ("", "0") else self._style + sequence
        elif final == "H":
            row, _, column = parameters.partition(";")
            self._y = min(self.rows, int(row or 1)) - 1
            self._x = min(self.columns, int(column or 1)) - 1
        elif final == "J":
            self._text = [[" "] * self.columns for _ in range(self.rows)]
            self._styles = [[""] * self.columns for _ in range(self.rows)]
        elif parameters == "?2026":
            if between == "$" and final == "p":
                return "\x1b[?2026;2$y"
            self.updates += final == "l"
            self.whole = final != "h"
        return ""


class Terminal:
    """A program on a screen. What it writes is read only while something is waited for.

    :param command: program and arguments
    :param environment: on top of what this process has
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, columns: int = COLUMNS, rows: int = ROWS
    ) -> None:
        self.screen = Screen(columns, rows)
        self.written_bytes = 0
        self._unparsed = bytearray()
        self._chunks: deque[tuple[float, bytes]] = deque()
        """What has been read, and when; nothing at all where the program has ended."""
        self.beside: Sequence[Terminal] = ()
        """Others, whose output is taken in while this one is waited for."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        settled = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        settled |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", **environment}
        self.began_s = time.perf_counter()
        self.pid, self._tty = pty.fork()
        if not self.pid:
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            try:
                os.execvpe(command[0], list(command), settled)
            finally:
                os._exit(127)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        # A program waits for its terminal to read, and a terminal does: what is here done with it must not delay that.
        sys.setswitchinterval(_SWITCH_S)
        self._reader = threading.Thread(target=self._keep_reading, daemon=True)
        self._reader.start()

    def press(self, keys: str) -> float:
        """Write keys; when that was."""
        os.write(self._tty, keys.encode())
        return time.perf_counter()

    def until(self, holds: Callable[[Screen], object], within_s: float = 30.0) -> float:
        """When the screen was first painted so; asked after every update.

        :raises Timeout: it was not, in that time.
        """
        end = time.perf_counter() + within_s
        if self.screen.whole and holds(self.screen):
            return time.perf_counter()
        while (left := end - time.perf_counter()) > 0:
            read_s = self._read(left)
            if read_s is not None and self.screen.whole and holds(self.screen):
                return read_s
        raise Timeout("not painted; the screen:\n" + "\n".join(self.screen.lines()))

    def watch(self, seconds: float) -> None:
        """Take in what is painted for a while."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._read(left)

    def cpu_seconds(self) -> float:
        """CPU time of the program so far, its threads and waited-for children included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS_A_SECOND

    def resident_bytes(self) -> int:
        """What it has in memory now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10
        raise ProcessLookupError(f"the program {self.pid} has ended")

    def close(self) -> None:
        """End it, whatever it is at."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._reader.join()
        os.close(self._tty)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep_reading(self) -> None:
        written = b" "
        while written:
            try:
                written = os.read(self._tty, _READ)
            except OSError:
                written = b""
            with _NEWS:
                self._chunks.append((time.perf_counter(), written))
                _NEWS.notify_all()

    def _read(self, within_s: float) -> float | None:
        """What there is now, or comes in this time; when it was there."""
        with _NEWS:
            _NEWS.wait_for(self._has_news, within_s)
        if self._chunks:
            return self._take()
        for other in self.beside:
            if other._chunks:  # noqa: SLF001 - of its own kind
                other._take()  # noqa: SLF001 - of its own kind
        return None

    def _has_news(self) -> bool:
        return any(each._chunks for each in (self, *self.beside))  # noqa: SLF001 - of its own kind

    def _take(self) -> float | None:
        """The next of what was read; when that was, if it could be taken in."""
        read_s, written = self._chunks.popleft()
        if not written:
            raise Timeout("the program has ended; the screen:\n" + "\n".join(self.screen.lines()))
        self.written_bytes += len(written)
        self._unparsed += written
        # In the middle of an update there is nothing to see: the rest is to be read as soon as it comes.
        begun = not self.screen.whole or _BEGUN in self._unparsed
        if begun and _WHOLE not in self._unparsed[-len(written) - len(_WHOLE) :]:
            return None
        answers = self.screen.feed(self._decode(bytes(self._unparsed)))
        self._unparsed.clear()
        if answers:
            os.write(self._tty, answers.encode())
        return read_s
