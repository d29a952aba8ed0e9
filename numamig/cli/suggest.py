"""What a value may be, for completion: processes, nodes, jobs and files, looked up without anything heavy.

Of this machine everything is read from /proc, /sys and the journal as text; only where another machine is named is it
opened. What cannot be looked up is not suggested: whoever presses tab wants no errors.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click
from click.shell_completion import CompletionItem

from numamig.errors import NumamigError
from numamig.model.nodeset import format_nodeset
from numamig.model.process import RegionKind
from numamig.resources import profiles_folder
from numamig.text import plain

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["PATH", "complete_values"]

PATH: Final = "path"
"""Type of items that are files or, with a slash at the end, folders: nothing is typed behind those."""
_PROC, _SYS = Path("/proc"), Path("/sys")
_Items = Iterable[CompletionItem[str]]
_Source = Callable[[click.Context, str], _Items]


class _Known(NamedTuple):
    pid: int
    name: str
    user: str


def complete_values(command: click.Command) -> None:
    """Let the parameters of a command complete what their names promise: ``pid``, ``job``, ``to`` and so on."""
    for param in command.params:
        source = _SOURCES.get(param.name or "")
        if source is not None:
            param.shell_complete = partial(_suggest, source)  # type: ignore[method-assign]


def _suggest(source: _Source, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
    try:
        return [item for item in source(ctx, incomplete) if item.value.startswith(incomplete)]
    except (NumamigError, OSError, sqlite3.Error, ValueError):
        return []


def _said(ctx: click.Context, name: str) -> str | None:
    """What was typed for an option of every command, behind it or before it."""
    inner = ctx.params.get(name)
    return inner if inner is not None or ctx.parent is None else _said(ctx.parent, name)


def _opened(ctx: click.Context) -> Backend | None:
    """The machine that was named; None where it is this one."""
    from numamig.cli.options import Shared

    backend, scenario, machine = (_said(ctx, name) for name in ("backend", "scenario", "machine"))
    if machine is not None and not os.path.exists(machine):
        machine = None  # to look must not make one
    if backend in (None, "linux") and scenario is None and machine is None:
        return None
    return Shared(backend, scenario, None, machine).open()


def _processes(ctx: click.Context) -> Iterator[_Known]:
    """Those that have memory: kernel threads have none to move."""
    if (backend := _opened(ctx)) is not None:
        for process in backend.processes():
            if not process.kernel_thread and not process.zombie:
                yield _Known(process.pid, process.name, process.user)
        return
    from numamig.backends.linux.procfs import process_ids, read_text, user_name

    for pid in process_ids(_PROC):
        folder = f"{_PROC}/{pid}"
        try:
            if int(read_text(f"{folder}/statm", pid).split()[1]):
                yield _Known(pid, read_text(f"{folder}/comm", pid).rstrip("\n"), user_name(Path(folder).stat().st_uid))
        except (NumamigError, OSError):
            continue  # it ended meanwhile


def _pids(ctx: click.Context, _incomplete: str) -> _Items:
    for known in _processes(ctx):
        yield CompletionItem(str(known.pid), help=plain(f"{known.name} ({known.user})"))


def _names(ctx: click.Context, _incomplete: str) -> _Items:
    """Only those that a shell and a terminal take as they are."""
    return (CompletionItem(name) for name in sorted({known.name for known in _processes(ctx)}) if plain(name) == name)


def _users(ctx: click.Context, _incomplete: str) -> _Items:
    return (CompletionItem(user) for user in sorted({known.user for known in _processes(ctx)}))


def _memory_nodes(ctx: click.Context) -> dict[int, tuple[int, ...]]:
    """Nodes with memory, and their CPUs."""
    if (backend := _opened(ctx)) is not None:
        topology = backend.topology()
        return {node.id: node.cpus for node in topology.nodes if node.id in topology.memory_nodes}
    from numamig.backends.linux.sysfs import read_list

    folder = _SYS / "devices/system/node"
    ids = read_list(folder / "has_memory")
    return {node: tuple(read_list(folder / f"node{node}/cpulist") or ()) for node in ([0] if ids is None else ids)}


def _nodes(ctx: click.Context, incomplete: str) -> _Items:
    nodes = _memory_nodes(ctx)
    if not incomplete:
        yield CompletionItem("all", help="every node with memory")
    helps = {
        str(node): f"CPUs {format_nodeset(cpus)}" if cpus else "no CPU: memory only" for node, cpus in nodes.items()
    }
    start = incomplete[:1] if incomplete[:1] in ("!", "+") else ""
    yield from _in_a_list(incomplete.removeprefix(start), helps, start)


def _kinds(_ctx: click.Context, incomplete: str) -> _Items:
    return _in_a_list(incomplete, {kind.value: "" for kind in RegionKind if kind is not RegionKind.SPECIAL})


def _in_a_list(incomplete: str, words: Mapping[str, str], start: str = "") -> _Items:
    """The next one of ``a,b,…``; none twice."""
    before, comma, _ = incomplete.rpartition(",")
    taken = set(before.split(","))
    for word, about in words.items():
        if word not in taken:
            yield CompletionItem(f"{start}{before}{comma}{word}", help=about or None)


def _jobs(ctx: click.Context, _incomplete: str) -> _Items:
    """Of this machine and this boot, the latest first."""
    from numamig.migrate.journal.place import state_directory
    from numamig.migrate.journal.schema import connect_to_read

    if (backend := _opened(ctx)) is not None:
        from numamig.migrate.journal.record import boot_of

        here = (backend.name, boot_of(backend))
    else:
        from numamig.backends.linux.image import read_boot_id

        here = ("linux", read_boot_id(_PROC))
    what = "SELECT id, kind, name, pid, state FROM job WHERE backend = ? AND boot = ? ORDER BY id DESC"
    with closing(connect_to_read(state_directory(create=False) / "journal.sqlite")) as db:
        for number, kind, name, pid, state in db.execute(what, here).fetchall():
            yield CompletionItem(str(number), help=plain(f"{kind} of {name} ({pid}), {state}"))


def _yaml_of(folder: str, _ctx: click.Context, incomplete: str) -> _Items:
    """What is shipped, and files."""
    shipped = sorted((profiles_folder() / folder).glob("*.yaml"))
    yield from (CompletionItem(path.stem, help=_title(path)) for path in shipped)
    yield from _files(incomplete, (".yaml", ".yml"))


def _title(path: Path) -> str | None:
    with open(path, encoding="utf-8") as lines:
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("title:")), None)


def _files(incomplete: str, endings: tuple[str, ...] = ()) -> _Items:
    folder, _, start = incomplete.rpartition("/")
    within = f"{folder}/" if "/" in incomplete else ""
    with os.scandir(Path(within).expanduser()) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") and not start.startswith("."):
                continue
            if entry.is_dir():
                yield CompletionItem(f"{within}{entry.name}/", type=PATH)
            elif entry.name.endswith(endings or ("",)):
                yield CompletionItem(f"{within}{entry.name}", type=PATH)


def _any_file(_ctx: click.Context, incomplete: str) -> _Items:
    return _files(incomplete)


def _backends(_ctx: click.Context, _incomplete: str) -> _Items:
    from numamig.backends.registry import names

    return map(CompletionItem, names())


_SOURCES: Mapping[str, _Source] = {
    "pid": _pids,
    "pids": _pids,
    "names": _names,
    "users": _users,
    **dict.fromkeys(("source", "target", "from_nodes", "to_nodes", "interleave", "nodes", "to"), _nodes),
    "kind": _kinds,
    "job": _jobs,
    "profile": partial(_yaml_of, "."),
    "scenario": partial(_yaml_of, "scenarios"),
    "machine": _any_file,
    "backend": _backends,
}
"""By name of the parameter, as functions get it."""
