"""From a backend's name to the backend: built in, or brought by an installed package.

A package adds one with an entry point in the group ``numamig.backends``: a callable that takes the scenario path or
None, and returns a ``Backend``. A machine in a file is the simulator's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from numamig.errors import RefusedError, UsageError
from numamig.resources import DEFAULT_SCENARIO, find_scenario

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["names", "open_backend"]

_GROUP = "numamig.backends"


def _linux(scenario: Path | None, machine: Path | None) -> Backend:
    if scenario is not None or machine is not None:
        option = "--machine" if scenario is None else "--scenario"
        raise UsageError(f"{option} is for the simulator", hint="add --backend simulator")
    try:
        from numamig.backends.linux.backend import LinuxBackend
    except OSError as error:
        raise RefusedError(f"the linux backend does not work here: {error}", hint="use --backend simulator") from error
    return LinuxBackend()


def _simulator(scenario: Path | None, machine: Path | None) -> Backend:
    from numamig.backends.simulator.backend import SimulatorBackend

    if machine is not None:
        from numamig.backends.simulator.machinefile import open_machine

        return SimulatorBackend(open_machine(machine, scenario))
    from numamig.backends.simulator.scenario import load_machine

    return SimulatorBackend(load_machine(scenario or find_scenario(DEFAULT_SCENARIO)))


def _auto(scenario: Path | None, machine: Path | None) -> Backend:
    """This machine where it has several memory nodes, else the simulator."""
    if scenario is not None or machine is not None:
        return _simulator(scenario, machine)
    try:
        backend = _linux(None, None)
        several = len(backend.topology().memory_nodes) > 1
    except (RefusedError, OSError):
        several = False
    return backend if several else _simulator(None, None)


_BUILT_IN: dict[str, Callable[[Path | None, Path | None], Backend]] = {
    "auto": _auto,
    "linux": _linux,
    "simulator": _simulator,
}


def names() -> list[str]:
    """Every name that ``open_backend`` knows."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=_GROUP))})


def open_backend(name: str, scenario: Path | None = None, machine: Path | None = None) -> Backend:
    """
    :param machine: file that the state of a simulated machine lies in
    :raises UsageError: no such backend, a scenario or file for one that takes none, or one that is not the other's.
    :raises FileError: the scenario or the machine's file is wrong.
    :raises RefusedError: it does not work here, or another process has the machine's file.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name](scenario, machine)
    for point in entry_points(group=_GROUP, name=name):
        if machine is not None:
            raise UsageError("--machine is for the simulator", hint="add --backend simulator")
        backend: Backend = point.load()(scenario)
        return backend
    raise UsageError(f"there is no backend {name!r}", hint=f"there are {', '.join(names())}")
