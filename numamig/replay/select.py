"""Which processes and pages a profile means on this machine, and whether they can be had."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial

from numamig.backends.base import Backend, TellsProcessFacts
from numamig.errors import Fault, FileError, RefusedError, TargetGone, UsageError
from numamig.migrate.destination import Destination, Node
from numamig.migrate.heat import demand_heat
from numamig.migrate.order_mode import OrderMode
from numamig.migrate.preflight import demand_node, demand_process, demand_shared
from numamig.migrate.request import Mapped, Request
from numamig.model.nodeset import parse_nodeset
from numamig.model.process import Process
from numamig.replay.schema import Migrate, ProcessSelector, Profile, Step
from numamig.yamlfile import Document, Location

__all__ = ["Migration", "check_profile", "demand_rights", "find_processes", "migrations", "request_for"]

Migration = tuple[Location, Migrate, ProcessSelector | None]
"""Its place, what it says, and which processes the block around it is done for."""


def find_processes(backend: Backend, selector: ProcessSelector, otherwise: str = "only") -> list[Process]:
    """The processes that a selector means, ascending by pid.

    :param otherwise: what ``which`` is where it is left out
    :raises TargetGone: none fits.
    :raises UsageError: several do where one is meant.
    :raises RefusedError: the machine does not tell what is asked for.
    """
    which = selector.which or otherwise
    candidates = backend.processes() if selector.pid is None else [backend.process(selector.pid)]
    found = [process for process in candidates if not process.zombie and _fits(process, selector)]
    if selector.cgroup is not None:
        found = [process for process in found if _in_cgroup(backend, process, selector.cgroup)]
    if not found:
        raise TargetGone(f"no process has {selector.words}")
    if which == "largest":
        return [max(found, key=lambda process: (process.resident_bytes, -process.pid))]
    if which == "only" and len(found) > 1:
        pids = ", ".join(str(process.pid) for process in found[:5])
        raise UsageError(
            f"{len(found)} processes have {selector.words} ({pids})", hint="add which: largest or which: all"
        )
    return found


def _fits(process: Process, selector: ProcessSelector) -> bool:
    return (
        (selector.name is None or process.name == selector.name)
        and (selector.user is None or process.user == selector.user)
        and (selector.cmdline is None or re.search(selector.cmdline, " ".join(process.cmdline)) is not None)
    )


def _in_cgroup(backend: Backend, process: Process, wanted: str) -> bool:
    """In that group or below it; or, where there is a ``*``, ``?`` or ``[``, in one that fits the pattern."""
    if not isinstance(backend, TellsProcessFacts):
        raise RefusedError("control groups are not known here", hint="choose processes by name, user or cmdline")
    try:
        group = backend.process_facts(process.pid).cgroup
    except TargetGone:
        return False
    if any(sign in wanted for sign in "*?["):
        return fnmatchcase(group, wanted if wanted[0] in "/*" else f"/{wanted}")
    inside = "/" + wanted.strip("/")
    return group == inside or group.startswith(inside.rstrip("/") + "/")


def migrations(
    steps: Sequence[Step], at: Location = ("steps",), each: ProcessSelector | None = None
) -> Iterator[Migration]:
    """Every migration of some steps and of the blocks in them, in order, each once."""
    for number, step in enumerate(steps):
        here = (*at, number)
        if step.migrate is not None:
            yield (*here, "migrate"), step.migrate, each
        elif step.for_each is not None:
            yield from migrations(step.for_each.steps, (*here, "for_each", "steps"), step.for_each.process)
        elif step.repeat is not None:
            yield from migrations(step.repeat.steps, (*here, "repeat", "steps"), each)
        elif step.include is not None:
            yield from migrations(step.include.steps, (*here, "include", "steps"), each)


def check_profile(backend: Backend, profile: Profile, document: Document) -> None:
    """Every node and every process that the profile names, all faults at once.

    :raises FileError: some are not there.
    :raises RefusedError: what is asked for may not be moved.
    """
    faults: list[Fault] = []
    checks: list[tuple[Location, Callable[[], object]]] = []
    for at, migrate, each in migrations(profile.steps):
        process = at if migrate.process is None else (*at, "process")
        checks += [
            ((*at, _key_of_target(migrate)), partial(_destination, backend, migrate)),
            ((*at, "pages", "from"), partial(_check_sources, backend, migrate)),
            (process, partial(_check_processes, backend, migrate, each)),
        ]
    checks += [(at, partial(_check_nodes, backend, nodes)) for at, nodes in _waited_for(profile.steps, ("steps",))]
    for place, check in checks:
        try:
            check()
        except (UsageError, TargetGone) as error:
            faults.append(document.fault(place, str(error)))
    if faults:
        raise FileError(document.path, faults)
    if any(_needs_heat(migrate) for _, migrate, _ in migrations(profile.steps)):
        demand_heat(backend)


def _needs_heat(migrate: Migrate) -> bool:
    return migrate.pages.heat is not None or migrate.order.mode in (OrderMode.HOTTEST, OrderMode.COLDEST)


def _waited_for(steps: Sequence[Step], at: Location) -> Iterator[tuple[Location, list[int]]]:
    for number, step in enumerate(steps):
        here = (*at, number)
        if step.wait is not None and step.wait.until is not None:
            yield (*here, "wait", "until", "free"), list(step.wait.until.free)
        for name, block in (("for_each", step.for_each), ("repeat", step.repeat), ("include", step.include)):
            if block is not None:
                yield from _waited_for(block.steps, (*here, name, "steps"))


def _key_of_target(migrate: Migrate) -> str:
    if migrate.to is not None:
        return "to"
    return next(key for key in ("interleave", "weights", "map", "follow") if getattr(migrate, _NAMES.get(key, key)))


_NAMES = {"map": "map_"}


def _check_nodes(backend: Backend, nodes: Sequence[int]) -> None:
    for node in nodes:
        demand_node(backend, node)


def _destination(backend: Backend, migrate: Migrate) -> Destination:
    return migrate.target.destination(backend.topology().memory_nodes)


def _sources(backend: Backend, migrate: Migrate) -> tuple[int, ...] | None:
    if migrate.pages.from_ is None:
        return None
    return parse_nodeset(migrate.pages.from_, backend.topology().memory_nodes)


def _check_sources(backend: Backend, migrate: Migrate) -> None:
    sources = _sources(backend, migrate)
    try:
        to = _destination(backend, migrate)
    except UsageError:
        return  # told where it is written
    if sources is not None and isinstance(to, Node) and set(sources) <= {to.node}:
        raise UsageError(f"from and to are the same node {to.node}", hint="name another node")


def _check_processes(backend: Backend, migrate: Migrate, each: ProcessSelector | None) -> None:
    """That something fits, and that its pages may be moved as asked; of several processes, those of one.

    :raises RefusedError: they may not.
    """
    if migrate.process is not None:
        found, several = find_processes(backend, migrate.process), migrate.process.which == "all"
    else:
        assert each is not None
        found, several = find_processes(backend, each, "all"), True
    refused: list[RefusedError] = []
    for process in found:
        try:
            demand_rights(backend, migrate, process)
        except RefusedError as error:
            refused.append(error)
    if refused and (not several or len(refused) == len(found)):
        raise refused[0]


def demand_rights(backend: Backend, migrate: Migrate, process: Process) -> None:
    """
    :raises RefusedError: its pages may not be moved as asked.
    :raises TargetGone: it ended.
    """
    demand_process(backend, process.pid)
    if migrate.shared:
        demand_shared(backend, process.pid)


def request_for(backend: Backend, migrate: Migrate, process: Process) -> Request:
    """As the engine takes it.

    :raises UsageError: a node is not there.
    """
    pages = migrate.pages
    return Request(
        pid=process.pid,
        to=_destination(backend, migrate),
        sources=_sources(backend, migrate),
        kinds=pages.kinds,
        within=pages.within,
        paths=tuple(pages.path),
        least_region_bytes=pages.at_least,
        most_region_bytes=pages.at_most,
        huge=pages.huge,
        mapped=Mapped(pages.mapped),
        heat=pages.heat_bounds,
        order=migrate.order.settings(),
        most_pages=pages.most_pages(backend.topology().page_size),
        shared=migrate.shared,
        batch_pages=migrate.batch.pages,
        threads=migrate.batch.threads,
        budget_ns=migrate.batch.budget,
        rate=migrate.batch.rate,
        retry=migrate.retry.settings(),
        most_calls=migrate.batch.calls or None,
        reserve_bytes=migrate.batch.reserve,
        critical=migrate.critical,
    )
