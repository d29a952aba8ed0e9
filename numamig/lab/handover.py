"""How a command gets into the virtual machine, and how its output and exit code get out again.

Host and guest share one directory. The host puts a shell script there; in the guest, the script runs the
command with standard output and error going into one file, which the host reads as it grows, and at the very
end leaves the exit code in another file, which appears whole or not at all. No exit code after the machine is
gone means that it died. The guest's consoles are not used: whether they carry anything depends on udev being
installed.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from numamig.errors import LabError

__all__ = ["CANNOT_ENTER", "GUEST_DIRECTORY", "Handover", "OutputTail", "prepare_handover"]

GUEST_DIRECTORY = "/run/numamig-lab"
"""Where the guest sees the shared directory: /run is a file system of its own there."""

CANNOT_ENTER = 125
"""Exit code for a working directory that the guest does not see."""

_DRAIN_PAUSES = "1 1 1"
"""Seconds to wait, after a short first pause, for output after the command's end; each turn costs far more
than its sleep in emulation."""

_SCRIPT = """\
# Runs in the guest as root. Positional argument: the shared directory.
shared=$1
own={own}
{environment}
mkdir -p "$own" "$HOME" "$TMPDIR" "$XDG_STATE_HOME" "$XDG_CACHE_HOME" "$XDG_CONFIG_HOME"
# The modules were hidden while udev looked for devices; show them again.
if [ -n {modules} ] && [ -d {modules} ] && [ -w /lib/modules ]; then
    ln -sfn {modules} "/lib/modules/$(uname -r)"
fi
: >>"$shared/started"
# Through a pipe, because a command that opens /dev/stdout would truncate the file.
mkfifo "$own/output"
cat "$own/output" >>"$shared/output" &
reader=$!
(
    cd {directory} || exit {cannot_enter}
    exec {command}
) </dev/null >"$own/output" 2>&1
code=$?
# The rest of the output; not for ever, as something left running in the background may hold the pipe open.
for pause in 0.1 {drain_pauses}; do
    kill -0 "$reader" 2>/dev/null || break
    sleep "$pause"
done
echo "$code" >"$shared/exit-code.partial"
mv "$shared/exit-code.partial" "$shared/exit-code"
"""


@dataclass(frozen=True, slots=True)
class Handover:
    """The shared directory, seen from the host."""

    directory: Path

    @property
    def script(self) -> Path:
        """The script for the guest."""
        return self.directory / "guest.sh"

    @property
    def output(self) -> Path:
        """The command's standard output and error, in the order written."""
        return self.directory / "output"

    @property
    def started(self) -> bool:
        """Whether the guest came as far as to run the script."""
        return (self.directory / "started").exists()

    def exit_code(self) -> int | None:
        """The command's exit code, None until it has ended. Raises LabError if it is not a number."""
        path = self.directory / "exit-code"
        if not path.exists():
            return None
        text = path.read_text(encoding="ascii").strip()
        if not text.isdigit():
            raise LabError(f"the virtual machine left {text!r} for an exit code")
        return int(text)


def prepare_handover(
    directory: Path,
    command: Sequence[str],
    working_directory: Path,
    *,
    search_path: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    modules: Path | None = None,
    own: str = "/run/numamig-lab-own",
) -> Handover:
    """Write the guest's script into the empty ``directory``, and an empty output file.

    ``search_path`` is put before the guest's PATH. ``own`` is a directory in the guest's memory for home,
    state and temporary files. ``modules`` is the kernel's module directory, if the machine was booted with it
    out of sight.
    """
    if not command:
        raise LabError("no command to run in the virtual machine")
    variables = {
        "HOME": f"{own}/home",
        "TMPDIR": f"{own}/temporary",
        "XDG_STATE_HOME": f"{own}/state",
        "XDG_CACHE_HOME": f"{own}/cache",
        "XDG_CONFIG_HOME": f"{own}/config",
        "LANG": "C.UTF-8",
        # The host's files are read-only there, or written to memory in vain.
        "PYTHONDONTWRITEBYTECODE": "1",
        # So that output arrives as it is written.
        "PYTHONUNBUFFERED": "1",
        "NUMAMIG_LAB": "1",
        **(environment or {}),
    }
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    if search_path:
        exports.append(f'export PATH={shlex.quote(":".join(search_path))}:"$PATH"')
    handover = Handover(directory)
    handover.script.write_text(
        _SCRIPT.format(
            own=shlex.quote(own),
            environment="\n".join(exports),
            modules=shlex.quote(str(modules) if modules else ""),
            directory=shlex.quote(str(working_directory)),
            command=shlex.join(command),
            cannot_enter=CANNOT_ENTER,
            drain_pauses=_DRAIN_PAUSES,
        ),
        encoding="utf-8",
    )
    handover.output.touch()
    return handover


class OutputTail:
    """Copies a growing file to a stream, each time what was added since the last."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._source = path.open("rb")
        self._stream = stream

    def copy_new(self) -> int:
        """Copy and flush what is new; returns the number of bytes."""
        copied = 0
        while chunk := self._source.read(1 << 16):
            self._stream.write(chunk)
            copied += len(chunk)
        if copied:
            self._stream.flush()
        return copied

    def close(self) -> None:
        """Close the file; the stream stays open, it is not ours."""
        self._source.close()
