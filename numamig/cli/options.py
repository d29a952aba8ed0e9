"""Options that every command has, before or after its name: which machine, and how output is printed."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from numamig.cli.help import HELP_OPTIONS, TeachingCommand
from numamig.cli.suggest import complete_values
from numamig.errors import UsageError
from numamig.units import parse_speed

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["JSON_VERSION", "Shared", "command", "machine_options", "pace_option", "print_json"]

JSON_VERSION = 1
"""Of the fields of every JSON document that a command prints."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Shared:
    """What was said about the machine."""

    backend: str | None = None
    scenario: str | None = None
    speed: float | None = None
    """How fast virtual time is to pass; infinity for no pace at all, None where nothing was said."""
    machine: str | None = None
    """File that the state of a simulated machine lies in."""

    def open(self, otherwise: str = "linux") -> Backend:
        """The machine that is meant; ``otherwise`` where nothing was said.

        A scenario or a machine's file by itself means the simulator.

        :raises UsageError: a pace was asked of a machine whose time is the wall's.
        """
        from numamig.backends.registry import open_backend
        from numamig.clock import PacedClock
        from numamig.resources import find_scenario

        path: Path | None = find_scenario(self.scenario) if self.scenario else None
        name = self.backend or ("simulator" if path or self.machine else otherwise)
        backend = open_backend(name, path, Path(self.machine) if self.machine else None)
        if self.speed is not None:
            if not isinstance(backend.clock, PacedClock):
                raise UsageError(
                    f"--speed is for virtual time; the time of the {backend.name} backend is the wall's",
                    hint="add --backend simulator",
                )
            backend.clock.speed = None if math.isinf(self.speed) else self.speed
        return backend

    @property
    def words(self) -> str:
        """What machine is meant."""
        if self.scenario or self.machine:
            return f"the simulated machine of {self.scenario or self.machine}"
        return {None: "this machine", "linux": "this machine"}.get(self.backend, f"the {self.backend}'s machine")

    def paced(self, speed: float | None) -> Shared:
        """The same at another pace, where one was said."""
        return self if speed is None else replace(self, speed=speed)


def machine_options(function: _Function) -> _Function:
    """``--backend``, ``--scenario``, ``--machine`` and ``--color``."""
    decorated = click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        expose_value=False,
        is_eager=True,
        callback=_set_color,
        help="Colour; auto: on a terminal, unless NO_COLOR is set.  [default: auto]",
    )(function)
    decorated = click.option(
        "--machine", metavar="FILE", help="Keep the simulated machine in this file, for the next command."
    )(decorated)
    decorated = click.option(
        "--scenario", metavar="FILE", help="Machine to simulate: a file, or the name of a shipped one."
    )(decorated)
    return click.option("--backend", metavar="NAME", help="linux (this machine), simulator, or auto.")(decorated)


def _set_color(ctx: click.Context, _option: click.Parameter, said: str | None) -> None:
    """What is said after the command goes before what was said before it. Source: no-color.org."""
    if said is None and (ctx.color is not None or ctx.parent is not None):
        return
    plainly = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    ctx.color = {"always": True, "never": False}.get(said or "auto", False if plainly else None)


class _Speed(click.ParamType[float]):
    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return value if isinstance(value, float) else parse_speed(str(value))


def pace_option(default: str) -> Callable[[_Function], _Function]:
    """``--speed``, for what shows a machine at work.

    :param default: what is done where nothing is said, in a word
    """
    return click.option(
        "--speed",
        type=_Speed(),
        metavar="SPEED",
        help=f"How fast virtual time passes: 10x, 0.5x, max.  [default: {default}]",
    )


def command(name: str, *, runs_another: bool = False) -> Callable[[Callable[..., Any]], click.Command]:
    """A command that takes the machine options and ``--json``, and is handed a ``Shared`` and ``as_json``.

    :param runs_another: behind its own options comes another command, whose options are none of its
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        @click.pass_context
        def call(
            ctx: click.Context, /, backend: str | None, scenario: str | None, machine: str | None, **arguments: Any
        ) -> Any:
            outer = ctx.obj or Shared()
            shared = replace(
                outer,
                backend=backend or outer.backend,
                scenario=scenario or outer.scenario,
                machine=machine or outer.machine,
            )
            return function(shared, **arguments)

        with_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(call)
        settings = {"help_option_names": HELP_OPTIONS, "allow_interspersed_args": not runs_another}
        made = click.command(name, cls=TeachingCommand, context_settings=settings)
        finished: click.Command = made(machine_options(with_json))
        for param in finished.params:
            if isinstance(param, click.Option) and isinstance(param.type, click.IntRange):
                param.metavar = param.metavar or "N"
        complete_values(finished)
        return finished

    return decorate


def print_json(document: Mapping[str, object]) -> None:
    """One JSON document on stdout: an object that says first which version of the fields it has, and of which command.

    Its fields are listed in docs/commands.md. A field may come, in any version; the version grows when one goes, or
    changes what it means.

    :param document: lists have a name in it: ``{"processes": [...]}``
    """
    head = {"version": JSON_VERSION, "command": click.get_current_context().command.name}
    if taken := head.keys() & document.keys():
        raise ValueError(f"fields that every document has already: {sorted(taken)}")
    click.echo(json.dumps({**head, **document}, indent=2, ensure_ascii=True))
