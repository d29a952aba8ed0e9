"""``numamig replay``: a profile, headless."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from numamig.cli.consent import Consent, consent_options
from numamig.cli.options import Shared, pace_option
from numamig.cli.options import command as numamig_command

__all__ = ["command", "settings_option"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def settings_option(function: _Function) -> _Function:
    """``--set NAME=VALUE``, as often as is wanted; the command is handed them as ``settings``."""
    return click.option(
        "--set", "settings", metavar="NAME=VALUE", multiple=True, help="Value of a variable of the profile."
    )(function)


@numamig_command("replay")
@click.argument("profile", metavar="PROFILE")
@settings_option
@pace_option("max")
@consent_options("what would be done, as plan does")
def command(
    shared: Shared, profile: str, settings: tuple[str, ...], speed: float | None, consent: Consent, as_json: bool
) -> int:
    """Run a YAML profile: a file, or the name of a shipped one.

    \b
    Examples:
      numamig replay pull-database-to-its-cpus
      numamig replay night-shift.yaml --set target=2 --set rate=200MiB/s
      numamig replay night-shift.yaml --strict --json

    The profile says which machine it is for; --backend, --scenario and --machine say otherwise.
    Errors that are found before a job are never passed; warnings are asked about on a terminal, job by job.
    Of several processes (which: all) each is moved whatever becomes of the others.
    Exit code: 0 done, and what it expects holds; 1 done in part: an expectation failed, a process could not be moved,
    or, where nothing is expected, pages remain; where nothing at all was done 3 refused, 4 the process is gone.
    """
    from numamig.cli.replaying import load_for, replay, tell_plans

    loaded, document, shared = load_for(profile, shared, settings)
    backend = shared.paced(speed).open()
    if consent.dry_run:
        return tell_plans(backend, loaded, document, strict=consent.strict, as_json=as_json)
    return replay(backend, loaded, document, consent, as_json=as_json)
