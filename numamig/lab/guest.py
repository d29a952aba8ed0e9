"""In the virtual machine: a command on a terminal of its own, whose other end is the host's, by way of a virtio port.

Runs by itself and imports nothing of numamig, since every import costs emulated seconds: ``guest.py JSON``. From the
host come frames (a letter, four bytes of length, and so many bytes): ``d`` is typed, ``w`` is a new size of the
terminal. To the host goes what the command prints, as it is.
"""

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path

PORT = "numamig.terminal"
CHUNK = 1 << 16
HEAD = struct.Struct("!cI")
SIZE = struct.Struct("!HH")
BALANCING = Path("/proc/sys/kernel/numa_balancing")


class Frames:
    """Cuts what comes from the host into frames."""

    def __init__(self) -> None:
        self._waiting = b""

    def feed(self, piece: bytes) -> list[tuple[bytes, bytes]]:
        """(kind, content) of each frame that is complete by now."""
        self._waiting += piece
        found = []
        while len(self._waiting) >= HEAD.size:
            kind, length = HEAD.unpack_from(self._waiting)
            if len(self._waiting) < HEAD.size + length:
                break
            found.append((kind, self._waiting[HEAD.size : HEAD.size + length]))
            self._waiting = self._waiting[HEAD.size + length :]
        return found


def frame(kind: bytes, content: bytes) -> bytes:
    """For the other end's ``Frames``."""
    return HEAD.pack(kind, len(content)) + content


def find_port(root: Path = Path("/sys/class/virtio-ports"), devices: Path = Path("/dev")) -> Path | None:
    """The device of our port: without udev it has no name of its own below /dev."""
    for port in sorted(root.glob("*")):
        if (port / "name").is_file() and (port / "name").read_text().strip() == PORT:
            return devices / port.name
    return None


def set_size(terminal: int, rows: int, columns: int) -> None:
    """The kernel tells the command of it with SIGWINCH."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def relay(port: int, terminal: int) -> None:
    """Until the command has closed its end, or the host is gone."""
    frames = Frames()
    while True:
        ready, _, _ = select.select([port, terminal], [], [])
        if terminal in ready:
            try:
                printed = os.read(terminal, CHUNK)
            except OSError:  # EIO: nobody has the other end any more
                return
            if not printed:
                return
            write_all(port, printed)
        if port in ready:
            piece = os.read(port, CHUNK)
            if not piece:
                return
            for kind, content in frames.feed(piece):
                if kind == b"d":
                    write_all(terminal, content)
                elif kind == b"w":
                    set_size(terminal, *SIZE.unpack(content))


def write_all(descriptor: int, content: bytes) -> None:
    """However many calls it takes."""
    while content:
        content = content[os.write(descriptor, content) :]


def demonstrate(asked: dict[str, object], port: int) -> None:
    """Start the process that is to be seen, and have nobody but the user move its memory."""
    if BALANCING.exists():
        BALANCING.write_text("0")
    words = [str(asked[name]) for name in ("cpu_node", "memory_node", "mebibytes")]
    # Nothing of ours is left to it: whoever waits for the end of our output would wait for its end.
    child = subprocess.Popen(
        [sys.executable, "-S", str(asked["program"]), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = b"" if child.stdout is None else child.stdout.readline()
    if said == b"ready\n":
        cpu_node, memory_node, mebibytes = words
        line = f"demo-db ({child.pid}) runs on node {cpu_node} and has {mebibytes} MiB on node {memory_node}"
    else:
        rest = b"" if child.stdout is None else child.stdout.read()
        line = f"the demonstration did not start: {' '.join((said + rest).decode(errors='replace').split())[-200:]}"
    write_all(port, f"lab: {line}\r\n".encode())


def main() -> int:
    """The command's exit code, as a shell has it."""
    asked = json.loads(sys.argv[1])
    if find_port() is None:
        subprocess.run(["modprobe", "virtio_console"], check=False)
    device = find_port()
    if device is None:
        print(f"there is no virtio port {PORT} in the virtual machine", file=sys.stderr)
        return 70
    port = os.open(device, os.O_RDWR)
    write_all(port, f"lab: linux {os.uname().release} is up\r\n".encode())
    if asked["demonstration"]:
        demonstrate(asked["demonstration"], port)
    write_all(port, b"lab: starting; in emulation that takes a while\r\n")
    child, terminal = pty.fork()
    if child == 0:
        try:
            os.execvp(asked["command"][0], asked["command"])  # noqa: S606 - what the user asked for
        except OSError as error:
            print(f"{asked['command'][0]}: {error.strerror}", file=sys.stderr, flush=True)
            os._exit(127)
    set_size(terminal, asked["rows"], asked["columns"])
    relay(port, terminal)
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
