"""``numamig lab``: a virtual NUMA machine with a real kernel, and the console on it."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click

from numamig.cli.help import HELP_OPTIONS, TeachingCommand
from numamig.cli.narrate import narrate
from numamig.errors import ExitCode, LabError, UsageError
from numamig.lab.boot import find_vng, run
from numamig.lab.kernels import demand_series, fetch_kernel
from numamig.lab.layout import lay_out
from numamig.lab.packages import install_missing_packages
from numamig.lab.session import compile_ours, console_command, terminal_command, terminal_environment, wrong_node
from numamig.lab.terminal import Left

__all__ = ["command"]


@click.command("lab", cls=TeachingCommand, context_settings={"help_option_names": HELP_OPTIONS})
@click.option("--kernel", metavar="SERIES", default="distribution", show_default=True, help="6.1, 6.12, …")
@click.option("--nodes", "count", type=click.IntRange(1), metavar="N", help="Memory nodes.  [default: 3]")
@click.option("--memory", metavar="SIZE", help="Memory of each node.  [default: 512MiB]")
@click.option(
    "--cpus",
    type=click.IntRange(1),
    metavar="N",
    help="CPUs of all nodes; who gets none has memory only.  [default: 2]",
)
@click.option(
    "--node",
    "unlike",
    metavar="SIZE[/CPUS]",
    multiple=True,
    help="Nodes that are not alike, one after the other: 1GiB/2.",
)
@click.option(
    "--distance", "distances", metavar="FROM,TO=N", multiple=True, help="0,2=30, from 11 to 254; may be repeated."
)
@click.option("--append", metavar="WORD", multiple=True, help="Add to the kernel's command line: hugepages=32.")
@click.option("--kvm", is_flag=True, help="Hardware virtualisation instead of emulation.")
@click.option("--timeout", type=click.FloatRange(min=1), metavar="SECONDS", help="Stop the machine after that long.")
@click.option("-t", "--tty", "on_terminal", is_flag=True, help="Lend this terminal to COMMAND.")
@click.option("--tour", is_flag=True, help="The guided tour of the console: numamig demo.")
@click.option("--no-demo", is_flag=True, help="No process in the console but those that are there anyway.")
@click.argument("argv", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
def command(
    kernel: str,
    count: int | None,
    memory: str | None,
    cpus: int | None,
    unlike: tuple[str, ...],
    distances: tuple[str, ...],
    append: tuple[str, ...],
    kvm: bool,
    timeout: float | None,
    on_terminal: bool,
    tour: bool,
    no_demo: bool,
    argv: tuple[str, ...],
) -> int:
    """A virtual NUMA machine with a real kernel (QEMU), and the console on it; or COMMAND, as root.

    \b
    Examples:
      numamig lab
      numamig lab --kernel 6.12 --node 1GiB/2 --node 1GiB/2 --node 2GiB
      numamig lab -- numactl --hardware
      numamig lab -t -- bash
      numamig lab --tour

    Pages really move there, and nothing here is touched: files of this machine are seen, not written. In the console
    a process has its memory on the wrong node, to be moved. Ctrl-] twice ends the machine.
    Exit code: that of COMMAND, or 70 where the machine could not be had.
    """
    machine = lay_out(count, memory, cpus, unlike, distances, kvm=kvm, kernel_arguments=append)
    if os.environ.get("NUMAMIG_LAB"):
        raise UsageError("this is a virtual machine of the laboratory already", hint="numamig opens the console here")
    if tour and argv:
        raise UsageError("--tour is a command itself", hint="leave out the other")
    demand_series(kernel)
    lends = on_terminal or not argv
    if lends and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("there is no terminal here for the console", hint="numamig lab -- COMMAND needs none")
    if lends and os.environ.get("TERM", "dumb") in ("dumb", "unknown") and not argv:
        raise UsageError("this terminal cannot show the console", hint="set TERM, or: numamig lab -- COMMAND")
    # A terminated job must not leave a machine running: unwind, as for ctrl-c.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _unwind)
    find_vng()
    install_missing_packages(_say)
    image = fetch_kernel(kernel, narrate=_say)
    _say(f"booting linux {image.version}, {machine}; in emulation that takes a while")
    if not lends:
        return run(argv, image, machine, timeout_seconds=timeout)
    if not argv:
        compile_ours()
        _say("ctrl-] twice ends the machine, and so does leaving the console")
    size = os.get_terminal_size(sys.stdout.fileno())
    shown = None if argv or no_demo or tour else machine  # the tour starts its own
    if shown is not None and wrong_node(shown) is None:
        _say("there is one node only, and so no wrong one: nothing is set up to be moved")
    try:
        return run(
            terminal_command(argv or console_command(tour=tour), size.lines, size.columns, shown),
            image,
            machine,
            timeout_seconds=timeout,
            environment=terminal_environment(),
            terminal=True,
        )
    except Left:
        _say("ended")
        return ExitCode.INTERRUPTED
    except LabError as error:
        raise LabError(error.message, hint=error.hint or "numamig lab -- dmesg shows how far it comes") from error


def _say(line: str) -> None:
    narrate(f"lab: {line}")


def _unwind(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
