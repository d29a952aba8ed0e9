"""What runs in the virtual machine on a lent terminal, and the process that is there to be seen."""

from __future__ import annotations

import compileall
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from numamig.lab import demonstration, guest
from numamig.lab.machine import Machine

__all__ = ["compile_ours", "console_command", "terminal_command", "terminal_environment", "wrong_node"]

_PASSED_ON = ("TERM", "COLORTERM", "TERM_PROGRAM", "NO_COLOR", "FORCE_COLOR", "TEXTUAL_COLOR_SYSTEM")
_PART = 4
"""Of a node's memory the demonstration takes the fourth part …"""
_MOST_MIB = 128
"""… but no more: to touch memory takes its time in emulation."""


def console_command(*, tour: bool = False) -> list[str]:
    """The console, on the machine that it finds itself on; or the guided tour of it."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return [
        sys.executable,
        "-m",
        "numamig",
        *(["demo"] if tour else []),
        "--backend",
        "linux",
        *([] if utf8 else ["--ascii"]),
    ]


def terminal_command(command: Sequence[str], rows: int, columns: int, machine: Machine | None = None) -> list[str]:
    """What ``run`` is to run, to have ``command`` on a terminal of so many rows and columns.

    :param machine: with a process to be seen, which has its memory on the wrong node of this machine; None: without
    """
    place = None if machine is None else wrong_node(machine)
    asked: dict[str, object] = {"command": list(command), "rows": rows, "columns": columns, "demonstration": None}
    if machine is not None and place is not None:
        cpu_node, memory_node = place
        asked["demonstration"] = {
            "program": str(Path(demonstration.__file__).absolute()),
            "cpu_node": cpu_node,
            "memory_node": memory_node,
            "mebibytes": min(_MOST_MIB, machine.nodes[memory_node].memory_mib // _PART),
        }
    # By its path, and without the packages of this Python: nothing is imported that is not needed.
    return [sys.executable, "-S", str(Path(guest.__file__).absolute()), json.dumps(asked)]


def terminal_environment() -> dict[str, str]:
    """What programs are to know of this terminal."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def compile_ours() -> None:
    """Byte code for what the console imports, where it is out of date: in emulation that takes minutes."""
    for package in ("numamig", "tui"):
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or ()) if found else ():
            compileall.compile_dir(folder, quiet=2)  # where nothing can be written it just takes longer there


def wrong_node(machine: Machine) -> tuple[int, int] | None:
    """The last node with CPUs, and the one farthest from it; None where there is only one."""
    home = max(node for node, each in enumerate(machine.nodes) if each.cpus)
    others = [node for node in range(len(machine.nodes)) if node != home]
    return (home, max(others, key=lambda node: (machine.distances[home][node], node))) if others else None
