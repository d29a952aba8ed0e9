"""A command in a process of its own, forked from one that has loaded all: to start Python takes most of a second.

The server has one thread and forks for each command; what it does is what ``python -m numamig`` does, with the streams,
the folder and the environment of whoever asks. It ends with the end of its socket.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["run"]

_ROOT = Path(__file__).parents[2]
_MODULES = (
    "numamig.backends.simulator.backend",
    "numamig.backends.simulator.machinefile",
    "numamig.backends.simulator.scenario",
    "numamig.cli.replaying",
    "numamig.cli.running",
    "numamig.observe.census",
)
_TWO_PIECES = 1 << 16


def run(arguments: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What the command printed, and its exit code; stdin is empty."""
    asked = json.dumps({"arguments": arguments, "folder": str(folder), "environment": dict(environment)}).encode()
    server = _server(os.getpid())
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull, "rb") as nothing:
        fds = [nothing.fileno(), out.fileno(), err.fileno()]
        socket.send_fds(server, [len(asked).to_bytes(8, "big")], fds)
        server.sendall(asked)
        code = int.from_bytes(_read(server, 4), "big", signed=True)
        told = []
        for file in (out, err):
            file.seek(0)
            told.append(file.read().decode(errors="replace"))
    return subprocess.CompletedProcess(["numamig", *arguments], code, *told)


@functools.cache
def _server(_pid: int) -> socket.socket:
    """Of this process, until it ends."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "tests.cli.forked", str(theirs.fileno())]
    server = subprocess.Popen(command, cwd=_ROOT, pass_fds=[theirs.fileno()])
    theirs.close()

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def _read(end: socket.socket, size: int) -> bytes:
    """
    :raises EOFError: nobody is at the other end any more.
    """
    parts = b""
    while len(parts) < size:
        piece = end.recv(min(size - len(parts), _TWO_PIECES))
        if not piece:
            raise EOFError
        parts += piece
    return parts


def _serve(end: socket.socket) -> None:
    for name in _MODULES:
        importlib.import_module(name)
    while True:
        head, fds, _, _ = socket.recv_fds(end, 8, 3)
        if not head:
            return
        asked = json.loads(_read(end, int.from_bytes(head, "big")))
        child = os.fork()
        if child == 0:
            end.close()
            _become(asked, fds)
        for fd in fds:
            os.close(fd)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        end.sendall(code.to_bytes(4, "big", signed=True))


def _become(asked: Mapping[str, object], fds: list[int]) -> None:
    """The command; does not return."""
    code: object = 1
    try:
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        os.chdir(str(asked["folder"]))
        os.environ.clear()
        os.environ.update(asked["environment"])  # type: ignore[call-overload]
        for name, mode, errors in (
            ("stdin", "r", "strict"),
            ("stdout", "w", "strict"),
            ("stderr", "w", "backslashreplace"),
        ):
            number = ("stdin", "stdout", "stderr").index(name)
            setattr(sys, name, open(number, mode, encoding="utf-8", errors=errors, closefd=False))  # noqa: SIM115
        sys.argv = ["numamig", *asked["arguments"]]  # type: ignore[misc]
        from numamig.cli import main

        main()
    except SystemExit as ended:
        code = ended.code
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
