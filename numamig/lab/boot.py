"""Boot a virtual machine, run one command in it, and take it down again whatever happens."""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

from numamig.errors import LabError
from numamig.lab.handover import GUEST_DIRECTORY, Handover, OutputTail, prepare_handover
from numamig.lab.kernels import KernelImage
from numamig.lab.machine import DEFAULT_MACHINE, Machine, vng_arguments
from numamig.lab.terminal import HostTerminal, qemu_words

__all__ = ["console_end", "find_vng", "run"]

_POLL_SECONDS = 0.05
_STOP_SECONDS = 5.0
_CONSOLE_LINES = 15
_PROCESS_ID_FILE = "qemu.pid"


def find_vng() -> Path:
    """The program of virtme-ng, beside this Python or on PATH. Raises LabError if it is not installed."""
    beside = Path(sys.executable).parent / "vng"
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("vng")
    if found is None:
        raise LabError("virtme-ng is not installed", hint="run: pip install 'numamig[lab]'")
    return Path(found).absolute()


def run(
    command: Sequence[str],
    kernel: KernelImage,
    machine: Machine = DEFAULT_MACHINE,
    *,
    working_directory: Path | None = None,
    timeout_seconds: float | None = None,
    stdout: BinaryIO | None = None,
    environment: Mapping[str, str] | None = None,
    terminal: bool = False,
) -> int:
    """Boot ``kernel`` on ``machine``, run ``command`` as root there, and return its exit code.

    The guest sees the host's files, read-only but for its own overlays. The command's standard output and
    error are copied to ``stdout`` (by default this process's) while it runs; its standard input is empty;
    programs installed beside this Python are found first. ``environment`` is added to its variables.
    ``timeout_seconds`` counts from now, so it includes the boot. With ``terminal`` the command is one of
    ``terminal_command``: this process's terminal is lent to it, and its output as said above comes last.

    Raises LabError when the machine cannot be started, dies, or outlasts the timeout. Neither processes nor
    files are left behind then, nor on ctrl-c.
    """
    vng = find_vng()
    limit = math.inf if timeout_seconds is None else timeout_seconds
    stream = sys.stdout.buffer if stdout is None else stdout
    modules = kernel.vmlinuz.absolute().parent.parent / "lib" / "modules" / kernel.version
    with tempfile.TemporaryDirectory(prefix="numamig-lab-") as scratch:
        shared = Path(scratch) / "shared"
        host_only = Path(scratch) / "host"
        for directory in (shared, host_only):
            directory.mkdir()
        handover = prepare_handover(
            shared,
            command,
            working_directory or Path.cwd(),
            search_path=[str(Path(sys.executable).parent)],
            environment=environment,
            modules=modules,
        )
        arguments = [
            str(vng),
            *vng_arguments(machine, kernel.vmlinuz.absolute(), shared, GUEST_DIRECTORY),
            # Where udev is installed, it would load a driver for every device it finds, which takes longer
            # than the boot itself in emulation. This is the last word on where modules are; the guest's
            # script puts it right again.
            "--append=virtme_link_mods=/nonexistent",
            # Some working directories do not exist in the guest; the script changes to the right one, and can
            # say so.
            "--cwd=/",
            # Relative to where QEMU is started, because virtme-ng splits this at blanks.
            f"--qemu-opts=-pidfile {_PROCESS_ID_FILE}{' ' + qemu_words() if terminal else ''}",
            "--verbose",
            "--",
            f"sh {GUEST_DIRECTORY}/{handover.script.name} {GUEST_DIRECTORY}",
        ]
        if not terminal:
            return _attend(arguments, handover, host_only, kernel, limit, stream)
        lent = HostTerminal(host_only)
        clean = False
        try:
            code = _attend(arguments, handover, host_only, kernel, limit, stream, lent)
            clean = True
            return code
        finally:
            lent.close(clean=clean)
            with closing(OutputTail(handover.output, stream)) as rest:
                rest.copy_new()


def _attend(
    arguments: Sequence[str],
    handover: Handover,
    host_only: Path,
    kernel: KernelImage,
    timeout_seconds: float,
    stream: BinaryIO,
    lent: HostTerminal | None = None,
) -> int:
    """Start the machine and stay with it until the command ends; copy the output meanwhile, or what goes over a
    terminal.
    """
    deadline = time.monotonic() + timeout_seconds
    console = host_only / "console.log"
    with console.open("wb") as log, closing(OutputTail(handover.output, stream)) as tail:
        process = subprocess.Popen(
            arguments,
            cwd=host_only,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                # vng starts virtme-run by name, which is where vng is: in an environment that need not be active.
                "PATH": os.pathsep.join((str(Path(arguments[0]).parent), os.environ.get("PATH", os.defpath))),
                # virtme-ng's own temporary files go away with ours, even if it is killed.
                "TMPDIR": str(host_only),
            },
            # A group of its own: it dies as a whole, and a ctrl-c reaches us first.
            start_new_session=True,
        )
        try:
            while handover.exit_code() is None and not _ended_within(process, 0 if lent else _POLL_SECONDS):
                if lent is None:
                    tail.copy_new()
                else:
                    lent.relay(_POLL_SECONDS)
                if time.monotonic() > deadline:
                    raise _too_late(handover, console, kernel, timeout_seconds)
            exit_code = handover.exit_code()
            if lent is None:
                tail.copy_new()
        finally:
            # Also after success: the result is known, so nobody needs to see the machine shut down.
            _stop(process, host_only / _PROCESS_ID_FILE)
    if exit_code is not None:
        return exit_code
    stage = "while the command ran" if handover.started else "before the command ran"
    raise LabError(
        f"linux {kernel.version} died {stage} (virtme-ng ended with status {process.returncode});"
        f" the end of its console:\n{console_end(console)}"
    )


def _too_late(handover: Handover, console: Path, kernel: KernelImage, timeout_seconds: float) -> LabError:
    if handover.started:
        return LabError(
            f"linux {kernel.version} was stopped: the command was still running after {timeout_seconds:g} s"
        )
    return LabError(
        f"linux {kernel.version} was stopped: it had not come up after {timeout_seconds:g} s;"
        f" the end of its console:\n{console_end(console)}"
    )


def _ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _stop(process: subprocess.Popen[bytes], process_id_file: Path) -> None:
    """End QEMU and everything around it, and reap the process.

    QEMU goes first, so that virtme-ng, its parent, can reap it: with both killed at once QEMU would be left
    to process 1, which in a container often reaps nothing. Then whatever is left of the group is killed.
    """
    if process.poll() is None and process_id_file.exists():
        process_id = process_id_file.read_text(encoding="ascii").strip()
        if process_id.isdigit():
            _send(os.kill, int(process_id), signal.SIGTERM)
            _ended_within(process, _STOP_SECONDS)
    _send(os.killpg, process.pid, signal.SIGKILL)
    process.wait()


def _send(send: Callable[[int, int], None], number: int, what: signal.Signals) -> None:
    # Gone already is what was wanted.
    with suppress(ProcessLookupError):
        send(number, what)


def console_end(console: Path) -> str:
    """The last lines of a console log, and before them the reason of a panic, if there is one further up.

    The control sequences that firmware and kernel write are left out.
    """
    text = console.read_text(encoding="utf-8", errors="replace")
    plain = re.sub(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|.)|[^\x20-\x7e\n\t]", "", text)
    lines = [line.rstrip() for line in plain.splitlines() if line.strip()]
    earlier, last = lines[:-_CONSOLE_LINES], lines[-_CONSOLE_LINES:]
    reasons = [line for line in earlier if "Kernel panic" in line or "BUG:" in line][:1]
    return "\n".join(f"  {line}" for line in [*reasons, *last]) or "  (empty)"
