"""``numamig record``: what a command does, or did, as a profile."""

from __future__ import annotations

import math
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from numamig.cli.narrate import narrate
from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.errors import ExitCode, UsageError
from numamig.model.nodeset import parse_ranges

if TYPE_CHECKING:
    from numamig.migrate.journal.record import Recorder
    from numamig.replay.record import Recording

__all__ = ["command"]

_Machine = tuple[str, str | None]
"""As a profile names it: backend, scenario."""


@numamig_command("record", runs_another=True)
@click.option("-o", "--output", metavar="FILE", help="Where to; otherwise it is printed.")
@click.option("--title", default="Recorded by numamig", show_default=True, help="Of the profile.")
@click.option("--jobs", "numbers", metavar="JOBS", help="What earlier jobs did: 17, 3,5-7, or all of this boot.")
@click.argument("arguments", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
def command(
    shared: Shared, output: str | None, title: str, numbers: str | None, arguments: tuple[str, ...], as_json: bool
) -> int:
    """Write down what a command does, or what earlier jobs did, as a profile that replay does again.

    \b
    Examples:
      numamig record -o home.yaml -- move 4711 0 1
      numamig record -o tuesday.yaml --
      numamig record --jobs 3,5-7 -o again.yaml

    Without a command after -- it is the console: all that is moved in it is written down when it is left.
    A job is written as it was asked for. Where an operator or chance had a part in it (it was cancelled or sent
    elsewhere, or found busy pages), the pages that it moved are named by their addresses.
    """
    path = None if output is None else Path(output)
    if path is not None and path.exists():
        raise UsageError(f"{path} is there already", hint="choose another name; nothing is overwritten")
    code = ExitCode.DONE
    if numbers is not None:
        if arguments:
            raise UsageError("--jobs is about what was done, a command about what is", hint="leave out one of both")
        recording, machine = _of_jobs(shared, numbers)
    else:
        recording, machine, code = _of_command(_inner(shared, arguments), aside=path is None or as_json)
    if not recording.steps:
        narrate("numamig: nothing was moved that could be written down")
        return code or ExitCode.PARTIAL
    text = recording.text(title, *machine)
    _tell(recording, text, path, as_json=as_json)
    return code


def _tell(recording: Recording, text: str, path: Path | None, *, as_json: bool) -> None:
    from numamig.replay.record import write_profile

    if path is not None:
        write_profile(path, text)
    if as_json:
        written = None if path is None else str(path)
        print_json({"profile": text, "file": written, "jobs": recording.jobs, "steps": len(recording.steps)})
    elif path is None:
        click.echo(text, nl=False)
    if path is not None:
        narrate(f"numamig replay {path} does it again")


def _of_jobs(shared: Shared, numbers: str) -> tuple[Recording, _Machine]:
    from numamig.migrate.journal.record import Recorder, boot_of
    from numamig.replay.record import machine_named, record

    backend = shared.open()
    recorder = Recorder.open(backend)
    try:
        here = recorder.journal.jobs(boot_of(backend))
        if numbers.strip() == "all":
            entries = [entry for entry in here if entry.backend == backend.name]
        else:
            entries = [recorder.journal.job(number) for number in _numbers(numbers)]
        simulated = backend.capabilities.simulated
        return record(recorder.journal, entries, backend.processes(), by_pid=simulated), machine_named(backend)
    finally:
        recorder.close()


def _numbers(text: str) -> list[int]:
    try:
        found = parse_ranges(text)
    except ValueError:
        found = []
    if not found:
        raise UsageError(f"{text!r} names no jobs", hint="write 17, 3,5-7 or all; numamig jobs lists them")
    return found


def _of_command(arguments: list[str], *, aside: bool) -> tuple[Recording, _Machine, ExitCode]:
    """Runs it, and hears what it had written into its journal.

    :param aside: what it prints does not go to stdout, which is for the profile
    """
    from numamig.cli import run
    from numamig.migrate.journal.record import Recorder
    from numamig.replay.record import Recording, machine_named

    recording = Recording()
    machine: _Machine = ("auto", None)

    def hear(recorder: Recorder) -> None:
        nonlocal machine
        backend = recorder.backend
        machine = machine_named(backend)
        processes = backend.processes()
        for number in dict.fromkeys(recorder.begun):
            entry = recorder.journal.job(number)
            recording.add(recorder.journal, entry, processes, by_pid=backend.capabilities.simulated)

    Recorder.closing = hear
    try:
        with redirect_stdout(sys.stderr) if aside else nullcontext():
            code = ExitCode(run(arguments))
    finally:
        Recorder.closing = None
    return recording, machine, code


def _inner(shared: Shared, arguments: tuple[str, ...]) -> list[str]:
    """The command with what was said of the machine before it."""
    said = {"--backend": shared.backend, "--scenario": shared.scenario, "--machine": shared.machine}
    words = [word for option, value in said.items() if value is not None for word in (option, value)]
    if shared.speed is not None:
        words += ["--speed", "max" if math.isinf(shared.speed) else f"{shared.speed}x"]
    return [*words, *arguments]
