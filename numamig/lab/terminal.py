"""This terminal, lent to a command in the virtual machine: what is typed goes there, what is printed comes here.

Raw: ctrl-c, ctrl-z and every other key are the guest's, and the size goes along when it changes. Until the guest has
said something they stay ours, so that ctrl-c ends a boot. Ctrl-] twice ends the machine, whatever it does.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import termios
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from numamig.errors import LabError
from numamig.lab.guest import CHUNK, PORT, SIZE, frame

__all__ = ["HostTerminal", "Left", "qemu_words"]

_SOCKET = "terminal.socket"
_LEAVE = b"\x1d"
_LEAVE_S = 1.0
_CLEAR = b"\r\x1b[K"
_RESET = (
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[?2048l"
    b"\x1b[<u\x1b[?1049l\x1b[?25h\x1b[0m\r\n"
)
"""What a program that did not end by itself may have left switched on: mouse, focus, paste, keys, alternate screen."""


class Left(KeyboardInterrupt):
    """The user ended the machine with ctrl-]."""


def qemu_words() -> str:
    """For QEMU, which is started in the directory of the socket: a port with our name, and its other end here."""
    return (
        "-device virtio-serial-pci,id=numamig-terminal"
        f" -chardev socket,id=numamig-terminal-end,path={_SOCKET}"
        f" -device virtserialport,bus=numamig-terminal.0,chardev=numamig-terminal-end,name={PORT}"
    )


class HostTerminal:
    """Of this process, or of the two descriptors that are given. Made where QEMU is started; close it."""

    def __init__(
        self,
        directory: Path,
        source: int | None = None,
        sink: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        :param directory: where the socket is made
        :raises LabError: it is no terminal, or no socket can be made there.
        """
        self._source = sys.stdin.fileno() if source is None else source
        self._sink = sys.stdout.fileno() if sink is None else sink
        self._now = now
        if not (os.isatty(self._source) and os.isatty(self._sink)):
            raise LabError("this is no terminal", hint="run it in one, or give a command: numamig lab -- COMMAND")
        self._listening = socket.socket(socket.AF_UNIX)
        # By way of the descriptor of the directory, since the path of a socket may have 107 bytes only.
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._listening.bind(f"/proc/self/fd/{place}/{_SOCKET}")
        except OSError as error:
            raise LabError(f"no socket can be made in {directory}: {error.strerror}") from error
        finally:
            os.close(place)
        self._listening.listen(1)
        self._peer: socket.socket | None = None
        self._before: list[Any] | None = None
        """Settings of the terminal; None until the guest has it."""
        self._typed_leave: float | None = None
        self._resized = True
        self._began = self._told = now()
        self._usual = signal.signal(signal.SIGWINCH, self._hear)

    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        size = os.get_terminal_size(self._sink)
        return size.lines or 24, size.columns or 80

    def relay(self, seconds: float) -> None:
        """Pass on what there is, both ways; at most so long.

        :raises Left: ctrl-] was typed twice.
        """
        peer = self._peer
        if self._before is None:
            self._tell_waiting()
        if peer is None:
            if select.select([self._listening], [], [], seconds)[0]:
                self._peer, _ = self._listening.accept()
            return
        if self._resized:
            self._resized = False
            self._send(b"w", SIZE.pack(*self.size()))
        watched: list[int] = [peer.fileno()] + ([self._source] if self._before is not None else [])
        ready = select.select(watched, [], [], seconds)[0]
        if peer.fileno() in ready:
            self._show(peer)
        if self._source in ready and (typed := os.read(self._source, CHUNK)):
            self._watch_for_leave(typed)
            self._send(b"d", typed)

    def close(self, *, clean: bool) -> None:
        """Give the terminal back as it was.

        :param clean: the command in the guest ended by itself, and has put right what it switched on
        """
        signal.signal(signal.SIGWINCH, self._usual)
        if self._peer is not None:
            if self._before is not None:
                self._show_rest(self._peer)
            self._peer.close()
        self._listening.close()
        if self._before is not None:
            if not clean:
                with suppress(OSError):
                    os.write(self._sink, _RESET)
            with suppress(termios.error, OSError):
                termios.tcsetattr(self._source, termios.TCSAFLUSH, self._before)
            self._before = None

    def _show(self, peer: socket.socket) -> None:
        try:
            printed = peer.recv(CHUNK)
        except ConnectionError:
            printed = b""
        if not printed:
            time.sleep(0)  # the machine is going down: who waits for it sees that
            self._peer = None
            peer.close()
            return
        if self._before is None:
            self._before = termios.tcgetattr(self._source)
            tty.setraw(self._source)
            os.write(self._sink, _CLEAR)
        while printed:
            printed = printed[os.write(self._sink, printed) :]

    def _show_rest(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        with suppress(OSError):
            while rest := peer.recv(CHUNK):
                os.write(self._sink, rest)

    def _send(self, kind: bytes, content: bytes) -> None:
        with suppress(ConnectionError):
            if self._peer is not None:
                self._peer.sendall(frame(kind, content))

    def _watch_for_leave(self, typed: bytes) -> None:
        for key in (typed[at : at + 1] for at in range(len(typed))):
            if key != _LEAVE:
                self._typed_leave = None
            elif self._typed_leave is not None and self._now() - self._typed_leave < _LEAVE_S:
                raise Left
            else:
                self._typed_leave = self._now()

    def _tell_waiting(self) -> None:
        """How long it has been booting, once a second."""
        now = self._now()
        if now - self._told >= 1:
            self._told = now
            os.write(self._sink, _CLEAR + f"lab: {now - self._began:.0f} s".encode())

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self._resized = True
