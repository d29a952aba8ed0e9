"""Whether a plan is carried out: ``--dry-run``, ``--yes`` and ``--strict``, and the question on a terminal."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from numamig.cli.narrate import introduce, print_plan
from numamig.cli.options import print_json
from numamig.errors import ExitCode, RefusedError, UsageError

if TYPE_CHECKING:
    from numamig.migrate.plan import Plan

__all__ = ["Consent", "consent_options"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Consent:
    """What was said in advance."""

    dry_run: bool
    yes: bool
    strict: bool

    def only_told(self, plan: Plan, *, as_json: bool) -> ExitCode | None:
        """The plan on stdout where nothing else was asked for, and what that means for the shell; else None."""
        if not self.dry_run:
            return None
        if as_json:
            print_json(plan.as_dict())
        else:
            print_plan(plan)
        return ExitCode.REFUSED if plan.errors or (self.strict and plan.warnings) else ExitCode.DONE

    def demand(self, plan: Plan) -> None:
        """Say what is going to be done, and ask where something speaks against it and somebody is there to answer.

        :raises RefusedError: there is an error, or a warning where none is accepted.
        :raises Abort: the answer was no.
        """
        introduce(plan)
        plan.demand_possible()
        if self.strict and plan.warnings:
            first, others = plan.warnings[0], len(plan.warnings) - 1
            more = f", and {others} more warning{'s' * (others > 1)}" if others else ""
            raise RefusedError(
                f"--strict: {first.check}: {first.reason}{more}", hint=first.remedy or None, pid=plan.request.pid
            )
        if plan.warnings and not self.yes and sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm("Go on?", default=True, abort=True, err=True)


def consent_options(would: str) -> Callable[[_Function], _Function]:
    """The three options; the command is handed a ``Consent`` as ``consent``.

    :param would: what a dry run says: "what would be moved"
    """
    options = (
        click.option("--dry-run", is_flag=True, help=f"Say {would}, and stop."),
        click.option("--yes", is_flag=True, help="Accept warnings without asking."),
        click.option("--strict", is_flag=True, help="Refuse to move where there are warnings."),
    )

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def call(*arguments: Any, dry_run: bool, yes: bool, strict: bool, **values: Any) -> Any:
            if yes and strict:
                raise UsageError("--yes accepts warnings, --strict refuses them", hint="leave one of the two out")
            return function(*arguments, consent=Consent(dry_run, yes, strict), **values)

        decorated: Any = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate
