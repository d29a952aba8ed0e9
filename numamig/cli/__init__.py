"""The ``numamig`` command. Each subcommand lives in a module of its own, imported when it is called."""

from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import click
from click.shell_completion import CompletionItem

from numamig import __version__
from numamig.cli.help import HELP_OPTIONS, TeachingGroup
from numamig.cli.options import Shared, machine_options, pace_option
from numamig.cli.suggest import complete_values
from numamig.errors import ExitCode, NumamigError, TargetGone
from numamig.text import plain

__all__ = ["ASKED", "cli", "main"]

_COMMANDS = {
    "nodes": "Nodes: CPUs, memory, tiers, distances.",
    "ps": "Processes: memory by node and remote share.",
    "show": "One process: threads, memory, cpuset, and what you may do to it.",
    "map": "Where a process's memory is: regions by node.",
    "move": "Move pages of a process to another node.",
    "drain": "Empty a node: who owns its memory, what moved, what remains and why.",
    "plan": "What a profile would do, and what will stop it.",
    "jobs": "What was moved, by whom, and what is unfinished.",
    "undo": "Put the pages of a job back where they were.",
    "resume": "Go on with a job that was killed or stopped.",
    "watch": "Whether the pages of a job stay where it put them.",
    "replay": "Run a YAML profile.",
    "record": "What a command does, as a profile.",
    "rehearse": "What a profile would come to: run on a simulated twin.",
    "schema": "JSON Schema of profiles and scenarios, for editors.",
    "doctor": "What this kernel and these rights allow.",
    "demo": "A guided tour: a migration, shown in two minutes.",
    "lab": "A virtual NUMA machine with a real kernel, and the console on it.",
    "completion": "The script that completes words for your shell.",
}
_PURPOSES = {
    "Look": ("nodes", "ps", "show", "map"),
    "Move": ("move", "drain", "jobs", "undo", "resume", "watch"),
    "Profiles": ("replay", "plan", "rehearse", "record", "schema"),
    "This machine and others": ("doctor", "demo", "lab", "completion"),
}
"""What commands are for, in the order in which help lists them."""


ASKED = "_NUMAMIG_COMPLETE"
"""In the environment when a shell asks for completions."""


class _LazyGroup(TeachingGroup):
    """Knows its commands by name and one line each; loads a module only to run or explain its command."""

    headings: ClassVar = {
        purpose: {name: _COMMANDS[name] for name in names if name in _COMMANDS} for purpose, names in _PURPOSES.items()
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for commands in self.headings.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"numamig.cli.{cmd_name}").command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=_COMMANDS[name])
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code.value), code.meaning) for code in ExitCode])


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": HELP_OPTIONS},
)
@machine_options
@click.option("--ascii", "ascii_only", is_flag=True, help="Console without any character beyond ASCII.")
@click.option(
    "--theme",
    type=click.Choice(["dark", "light", "contrast", "terminal", "mono"]),
    help="Colours of the console.  [default: NUMAMIG_THEME, or dark]",
)
@click.option("--read-only", is_flag=True, help="Console in which nothing that moves can be asked for.")
@click.option(
    "--screenshots",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="Where the console puts screenshots and reports.  [default: here]",
)
@pace_option("1x in the console, else max")
@click.version_option(__version__, prog_name="numamig")
@click.pass_context
def cli(
    ctx: click.Context,
    backend: str | None,
    scenario: str | None,
    machine: str | None,
    ascii_only: bool,
    theme: str | None,
    read_only: bool,
    screenshots: Path,
    speed: float | None,
) -> None:
    """See where the memory of processes lives on a NUMA machine, and move it.

    \b
    Examples:
      numamig
      numamig --backend simulator
      numamig ps --sort remote
      numamig move 4711 --from 0 --to 1 --dry-run
      numamig move 4711 --from 0 --to 1
      numamig undo

    Without a command it opens the console: on this machine if it has several memory nodes, else on a simulated one.
    Commands act on this machine unless told otherwise, and take --json. numamig COMMAND --help begins with examples.
    """
    ctx.obj = Shared(backend, scenario, speed, machine)
    if ctx.invoked_subcommand is None:
        from numamig.cli.console import open_console

        how = {"ascii": ascii_only, "theme": theme, "read_only": read_only, "screenshots": screenshots}
        ctx.exit(open_console(ctx.obj, **how))


complete_values(cli)


def main(arguments: list[str] | None = None) -> None:
    """Run, and leave with one of ``ExitCode``."""
    _mend_streams()
    if ASKED in os.environ:
        from numamig.cli.completion import speak_to_shells

        speak_to_shells()
    sys.exit(run(arguments))


def _mend_streams() -> None:
    """Streams that were closed lead nowhere, and no locale is too poor to be printed to."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115 - stays open
        elif isinstance(stream, io.TextIOWrapper) and name != "stdin":
            stream.reconfigure(errors="replace")


def run(arguments: list[str] | None) -> int:
    """Run a command to its end; one of ``ExitCode``. What goes wrong is told on stderr."""
    stdout = sys.stdout
    try:
        result: Any = cli.main(args=arguments, prog_name="numamig", standalone_mode=False)
        sys.stdout.flush()
        return int(result or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        return _complain(error.format_message(), _usage_hint(error), ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", None, ExitCode.INTERRUPTED)
    except NumamigError as error:
        return _complain(error.message, error.hint or _gone_hint(error), error.exit_code)
    except BrokenPipeError:
        return _nobody_reads()
    except SystemExit:
        if sys.stdout is not stdout:  # a broken pipe that click has met: it puts something else there, and ends with 1
            return _nobody_reads()
        raise
    except Exception as error:
        if os.environ.get("NUMAMIG_DEBUG"):
            raise
        if ASKED in os.environ:
            return ExitCode.INTERNAL  # a line of words is no place for complaints
        return _complain(
            f"internal error: {type(error).__name__}: {error}", "NUMAMIG_DEBUG=1 shows where", ExitCode.INTERNAL
        )


def _nobody_reads() -> ExitCode:
    """Whoever read our output has had enough; without this the interpreter complains again on its way out."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    os.dup2(sys.stdout.fileno(), 1)
    return ExitCode.DONE


def _complain(message: str, hint: str | None, code: ExitCode) -> int:
    """Names and paths of processes may be in it; only a file with several faults has several lines."""
    text = f"numamig: {message}" + (f" ({hint})" if hint else "")
    click.echo("\n".join(plain(line) for line in text.split("\n")), err=True)
    return code


def _usage_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help" if context is not None else None


def _gone_hint(error: NumamigError) -> str | None:
    return "numamig ps lists those that there are" if isinstance(error, TargetGone) else None
