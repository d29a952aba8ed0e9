"""From a backend's name to the backend: built in, or brought by an installed package.

A package adds one with an entry point in the group ``numamig.backends``: a callable that takes the scenario path or
None, and returns a ``Backend``.
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


def _linux(scenario: Path | None) -> Backend:
    if scenario is not None:
        raise UsageError("--scenario is for the simulator", hint="add --backend simulator")
    try:
        from numamig.backends.linux.backend import LinuxBackend
    except OSError as error:
        raise RefusedError(f"the linux backend does not work here: {error}", hint="use --backend simulator") from error
    return LinuxBackend()


def _simulator(scenario: Path | None) -> Backend:
    from numamig.backends.simulator.backend import SimulatorBackend
    from numamig.backends.simulator.scenario import load_machine

    return SimulatorBackend(load_machine(scenario or find_scenario(DEFAULT_SCENARIO)))


def _auto(scenario: Path | None) -> Backend:
    """This machine where it has several memory nodes, else the simulator."""
    if scenario is not None:
        return _simulator(scenario)
    try:
        backend = _linux(None)
        several = len(backend.topology().memory_nodes) > 1
    except (RefusedError, OSError):
        several = False
    return backend if several else _simulator(None)


_BUILT_IN: dict[str, Callable[[Path | None], Backend]] = {"auto": _auto, "linux": _linux, "simulator": _simulator}


def names() -> list[str]:
    """Every name that ``open_backend`` knows."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=_GROUP))})


def open_backend(name: str, scenario: Path | None = None) -> Backend:
    """
    :raises UsageError: no such backend, or a scenario for one that takes none.
    :raises FileError: the scenario is wrong.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name](scenario)
    for point in entry_points(group=_GROUP, name=name):
        backend: Backend = point.load()(scenario)
        return backend
    raise UsageError(f"there is no backend {name!r}", hint=f"there are {', '.join(names())}")
