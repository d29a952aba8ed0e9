"""The laboratory from the shell: ``python -m numamig.lab --kernel 6.1 --kernel 6.12 -- COMMAND...``."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType

from numamig.errors import ExitCode, NumamigError
from numamig.lab.boot import find_vng, run
from numamig.lab.kernels import fetch_kernel
from numamig.lab.machine import DEFAULT_MACHINE, Machine
from numamig.lab.packages import install_missing_packages

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command under each kernel in turn; returns the first exit code that is not zero.

    A machine that dies does not keep the next kernel from its turn.
    """
    options = _parser().parse_args(arguments)
    # A terminated make or CI job must not leave a machine running: unwind, as for ctrl-c.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _unwind)
    machine = replace(DEFAULT_MACHINE, kvm=options.kvm, kernel_arguments=tuple(options.append))
    status = 0
    try:
        find_vng()
        install_missing_packages(_narrate)
        for series in options.kernel or ["distribution"]:
            outcome = _run_under(series, machine, options)
            status = status or outcome
    except NumamigError as error:
        return _report(error)
    except KeyboardInterrupt:
        _narrate("interrupted")
        return ExitCode.INTERRUPTED
    return status


def _run_under(series: str, machine: Machine, options: argparse.Namespace) -> int:
    try:
        kernel = fetch_kernel(series, narrate=_narrate)
        _narrate(f"booting linux {kernel.version}, {machine}")
        start = time.monotonic()
        status = run(options.command, kernel, machine, timeout_seconds=options.timeout)
    except NumamigError as error:
        return _report(error)
    if status:
        # Where all is well, the command's own last line is the last word.
        _narrate(f"linux {kernel.version}: exit status {status} after {time.monotonic() - start:.0f} s")
    return status


def _report(error: NumamigError) -> int:
    _narrate(f"error: {error}")
    return error.exit_code


def _narrate(line: str) -> None:
    print(f"lab: {line}", file=sys.stderr, flush=True)


def _unwind(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m numamig.lab", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--kernel",
        action="append",
        metavar="SERIES",
        help="distribution (the default), or a version such as 6.1 or 6.12; may be repeated",
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="stop each machine after that long")
    parser.add_argument("--append", action="append", default=[], metavar="WORD", help="add to the kernel command line")
    parser.add_argument("--kvm", action="store_true", help="hardware virtualisation instead of emulation")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="what to run, after --")
    return parser


if __name__ == "__main__":
    sys.exit(main())
