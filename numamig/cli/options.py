"""Options that every command has, before or after its name, and how output is printed."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["Shared", "command", "machine_options", "print_json"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Shared:
    """What was said about the machine."""

    backend: str | None = None
    scenario: str | None = None

    def open(self, otherwise: str = "linux") -> Backend:
        """The machine that is meant; ``otherwise`` where nothing was said.

        A scenario by itself means the simulator.
        """
        from numamig.backends.registry import open_backend
        from numamig.resources import find_scenario

        path: Path | None = find_scenario(self.scenario) if self.scenario else None
        name = self.backend or ("simulator" if path else otherwise)
        return open_backend(name, path)


def machine_options(function: _Function) -> _Function:
    """``--backend`` and ``--scenario``."""
    decorated = click.option(
        "--scenario", metavar="FILE", help="Machine to simulate: a file, or the name of a shipped one."
    )(function)
    return click.option("--backend", metavar="NAME", help="linux (this machine), simulator, or auto.")(decorated)


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command that takes the machine options and ``--json``, and is handed a ``Shared`` and ``as_json``."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        @click.pass_context
        def call(ctx: click.Context, /, backend: str | None, scenario: str | None, **arguments: Any) -> Any:
            outer = ctx.obj or Shared()
            return function(Shared(backend or outer.backend, scenario or outer.scenario), **arguments)

        with_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(call)
        return click.command(name, context_settings={"help_option_names": ["-h", "--help"]})(machine_options(with_json))

    return decorate


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))
