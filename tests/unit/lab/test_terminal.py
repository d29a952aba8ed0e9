"""A terminal that is lent: both sides joined by a socket in place of the virtio port, with ptys at both ends."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from numamig.errors import LabError
from numamig.lab import guest
from numamig.lab.guest import Frames, find_port, frame
from numamig.lab.layout import lay_out
from numamig.lab.session import terminal_command, wrong_node
from numamig.lab.terminal import HostTerminal, Left, qemu_words

WHO = """
import fcntl, os, signal, struct, sys, termios
def size():
    return struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))[:2]
def resized(*_):
    print("size", *size(), flush=True)
signal.signal(signal.SIGWINCH, resized)
signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
print("ready", os.isatty(1), flush=True)
while (line := sys.stdin.readline().strip()) != "leave":
    print("said", line, *size(), flush=True)
sys.exit(7)
"""


class Joined:
    """A user's terminal, the host's side on it, and the guest's side with a command in a child process."""

    def __init__(self, directory: Path, rows: int = 30, columns: int = 100) -> None:
        self.user, self.end = pty.openpty()
        self.resize(rows, columns)
        self.time = 0.0
        self.host = HostTerminal(directory, self.end, self.end, lambda: self.time)
        self.port = socket.socket(socket.AF_UNIX)
        self.port.connect(str(directory / "terminal.socket"))
        self.seen = b""
        child, terminal = pty.fork()
        if child == 0:
            os.execv(sys.executable, [sys.executable, "-S", "-c", WHO])
        self.child, self.terminal = child, terminal
        self.guest = threading.Thread(target=guest.relay, args=(self.port.fileno(), terminal), daemon=True)
        self.guest.start()

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.user, keys)

    def until(self, words: bytes) -> None:
        """Relay until the user sees that."""
        os.set_blocking(self.user, False)
        while words not in self.seen:
            self.host.relay(0.01)
            with suppress(BlockingIOError):
                self.seen += os.read(self.user, 4096)
        self.seen = self.seen.partition(words)[2]

    def leave(self) -> int:
        """Have the command end; its exit code."""
        self.type(b"leave\r")
        while self.guest.is_alive():
            self.host.relay(0.01)
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])

    def raw(self) -> bool:
        return not termios.tcgetattr(self.end)[3] & termios.ICANON

    def close(self) -> None:
        self.host.close(clean=True)
        self.port.close()
        for descriptor in (self.user, self.end):
            os.close(descriptor)


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    both = Joined(tmp_path)
    yield both
    both.close()


def read_until(terminal: int, words: bytes) -> bytes:
    """What was written to a terminal: it is read in pieces."""
    said = b""
    while words not in said and select.select([terminal], [], [], 10.0)[0]:
        said += os.read(terminal, 4096)
    return said


def test_what_is_typed_and_printed_goes_across(joined: Joined) -> None:
    assert not joined.raw()
    joined.until(b"ready True\r\n")
    assert joined.raw()
    joined.type("grüß\r".encode())
    joined.until("said grüß 30 100\r\n".encode())
    assert joined.leave() == 7
    joined.host.close(clean=True)
    assert not joined.raw()


def test_ctrl_c_and_sizes_reach_the_command_and_nobody_here(joined: Joined) -> None:
    joined.until(b"ready")
    joined.type(b"\x03")
    joined.until(b"interrupted\r\n")
    joined.resize(50, 120)
    os.kill(os.getpid(), signal.SIGWINCH)  # which a terminal sends only to those whose own it is
    joined.until(b"size 50 120\r\n")
    assert joined.leave() == 7


def test_ctrl_bracket_twice_leaves_and_once_is_a_key(joined: Joined) -> None:
    joined.until(b"ready")
    joined.type(b"\x1da\x1d")
    joined.until(b"a")
    joined.time = 1.5
    joined.type(b"\x1d")
    joined.until(b"^]")
    joined.type(b"\x1d")
    with pytest.raises(Left):
        joined.until(b"never printed")
    os.kill(joined.child, 9)
    os.waitpid(joined.child, 0)


def test_a_machine_that_dies_leaves_the_terminal_as_it_was(joined: Joined) -> None:
    joined.until(b"ready")
    os.kill(joined.child, 9)
    os.waitpid(joined.child, 0)
    joined.guest.join()
    joined.port.close()
    joined.host.relay(0.01)
    joined.host.close(clean=False)
    assert not joined.raw()
    os.set_blocking(joined.user, True)
    said = read_until(joined.user, b"\x1b[?25h")
    assert b"\x1b[?1049l" in said
    assert b"\x1b[?25h" in said


def test_how_long_it_has_been_booting_is_told_until_the_guest_speaks(tmp_path: Path) -> None:
    user, end = pty.openpty()
    times = iter((0.0, 0.5, 1.2, 1.4, 2.3))
    host = HostTerminal(tmp_path, end, end, lambda: next(times))
    for _ in range(4):
        host.relay(0)
    assert read_until(user, b"2 s") == b"\r\x1b[Klab: 1 s\r\x1b[Klab: 2 s"
    host.close(clean=False)
    os.close(user)
    os.close(end)


def test_no_terminal_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with open(os.devnull) as nothing, pytest.raises(LabError, match="numamig lab -- COMMAND"):
        HostTerminal(tmp_path, nothing.fileno(), nothing.fileno())


def test_the_socket_may_lie_deep(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    user, end = pty.openpty()
    HostTerminal(deep, end, end).close(clean=True)
    assert (deep / "terminal.socket").is_socket()
    assert " path=" not in qemu_words() and "path=terminal.socket" in qemu_words()
    os.close(user)
    os.close(end)


@pytest.mark.parametrize("cut", [1, 3, 5, 1000])
def test_frames_are_put_together_however_they_were_cut(cut: int) -> None:
    sent = [(b"d", b""), (b"w", b"\0\x18\0\x50"), (b"d", b"x" * 700), (b"d", b"end")]
    stream = b"".join(frame(kind, content) for kind, content in sent)
    frames = Frames()
    got = [found for at in range(0, len(stream), cut) for found in frames.feed(stream[at : at + cut])]
    assert got == sent


def test_the_port_is_found_by_its_name(tmp_path: Path) -> None:
    for number, name in enumerate(("virtme.stdin", "numamig.terminal")):
        (tmp_path / f"vport{number}p1").mkdir()
        (tmp_path / f"vport{number}p1" / "name").write_text(f"{name}\n")
    assert find_port(tmp_path, Path("/dev")) == Path("/dev/vport1p1")
    assert find_port(tmp_path / "vport0p1") is None


def test_the_demonstration_lies_on_the_node_farthest_from_where_it_runs() -> None:
    asked = json.loads(terminal_command(["true"], 24, 80, lay_out(None, None, None))[-1])
    shown = asked["demonstration"]
    assert (asked["command"], asked["rows"], asked["columns"]) == (["true"], 24, 80)
    assert (shown["cpu_node"], shown["memory_node"], shown["mebibytes"]) == (1, 2, 128)
    assert Path(shown["program"]).is_file()
    assert wrong_node(lay_out(1, None, 1)) is None
    assert json.loads(terminal_command(["true"], 24, 80)[-1])["demonstration"] is None


def test_the_guests_programs_need_no_packages(tmp_path: Path) -> None:
    """They are run by their path and without site-packages."""
    for module in ("guest", "demonstration"):
        path = Path(guest.__file__).with_name(f"{module}.py")
        code = f"import runpy, sys; runpy.run_path({str(path)!r}); print('numamig' in sys.modules)"
        done = subprocess.run([sys.executable, "-S", "-E", "-c", code], capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
