"""``numamig plan``: what a profile would do, and what will stop it; nothing moves."""

from __future__ import annotations

import click

from numamig.cli.options import Shared
from numamig.cli.options import command as numamig_command
from numamig.cli.replay import settings_option

__all__ = ["command"]


@numamig_command("plan")
@click.argument("profile", metavar="PROFILE")
@settings_option
@click.option("--strict", is_flag=True, help="Exit code 3 where there are warnings, too.")
def command(shared: Shared, profile: str, settings: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Say what a profile would do as things are now, and what speaks against it.

    \b
    Examples:
      numamig plan pull-database-to-its-cpus
      numamig plan night-shift.yaml --set target=2 --json

    Later steps are planned from how things are before the first. Exit code: 0 nothing stops it, 3 something does.
    """
    from numamig.cli.replaying import load_for, tell_plans

    loaded, document, shared = load_for(profile, shared, settings)
    backend = shared.open()
    return tell_plans(backend, loaded, document, strict=strict, as_json=as_json)
