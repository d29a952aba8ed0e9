"""Help that teaches: what a command is for, then examples, then the rest; many options under headings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import click

__all__ = ["HELP_OPTIONS", "TeachingCommand", "TeachingGroup", "examples_of"]

HELP_OPTIONS = ["-h", "--help"]
_EXAMPLES = re.compile(r"^\x08?\n?Examples?:\n((?:[ \t]+\S.*(?:\n|\Z))+)", re.MULTILINE)

_SHARED = "Machine and output"
_HEADINGS: Mapping[str, str] = {
    "Where from and to": "source target to interleave weights node_map follow_cpus",
    "Which pages": "addresses kind path at_least at_most huge mapped hot cold most order seed move_shared",
    "How gently": "pages threads budget rate calls reserve retry passes deadline backoff max_busy critical",
    "Before anything moves": "dry_run yes strict",
    _SHARED: "backend scenario machine speed as_json color ascii_only version",
}
"""Heading → names of parameters, as functions get them. All others come first."""
_FEW = 6
"""Up to so many options of a command's own need no headings but one."""
_SOME = 3
"""So many are worth a heading."""


def examples_of(command: click.Command) -> list[str]:
    """The command lines in its help that are there to be tried."""
    match = _EXAMPLES.search(inspect.cleandoc(command.help or ""))
    return [] if match is None else [line.strip() for line in match[1].splitlines()]


class TeachingCommand(click.Command):
    """A command whose docstring has a block "Examples:", which its help shows right after what it is for."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_text(self, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_options(self.get_params(ctx), ctx, formatter)


class TeachingGroup(click.Group):
    """The same of a group, whose commands are listed by what they are for."""

    headings: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Heading → command → one line about it."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_text(self, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max((len(name) for commands in self.headings.values() for name in commands), default=0)
        for heading, commands in self.headings.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])
        _write_options(self.get_params(ctx), ctx, formatter, own="Console")


def _write_text(command: click.Command, formatter: click.HelpFormatter) -> None:
    text = inspect.cleandoc(command.help or "")
    match = _EXAMPLES.search(text)
    before, after = (text, "") if match is None else (text[: match.start()], text[match.end() :])
    purpose, _, more = before.strip().partition("\n\n")
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(purpose)
    if lines := examples_of(command):
        with formatter.section("Examples"):
            for line in lines:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
    rest = "\n\n".join(part.strip("\n") for part in (more, after) if part.strip())
    if rest:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(rest)


def _write_options(
    params: Sequence[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter, *, own: str = "Options"
) -> None:
    for heading, options in _under_headings([param for param in params if isinstance(param, click.Option)], own):
        if records := [record for option in options if (record := option.get_help_record(ctx)) is not None]:
            with formatter.section(heading):
                formatter.write_dl(records)


def _under_headings(options: list[click.Option], first: str) -> Iterator[tuple[str, list[click.Option]]]:
    """Those of the command itself first; where they are few, without further headings for them."""
    of_all = _HEADINGS[_SHARED].split()
    own = [option for option in options if not _is_in(option, of_all)]
    if len(own) <= _FEW:
        yield first, own
    else:
        parts = {
            heading: [option for option in own if option.name in names.split()] for heading, names in _HEADINGS.items()
        }
        parts = {heading: part for heading, part in parts.items() if len(part) >= _SOME}
        yield first, [option for option in own if not any(option in part for part in parts.values())]
        yield from parts.items()
    yield _SHARED, [option for option in options if _is_in(option, of_all)]


def _is_in(option: click.Option, names: Sequence[str]) -> bool:
    return option.name in names or "--help" in option.opts
