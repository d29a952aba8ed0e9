"""Which processes and pages a profile means on this machine, and whether they can be had."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from numamig.backends.base import Backend
from numamig.errors import Fault, FileError, RefusedError, TargetGone, UsageError
from numamig.migrate.destination import Node
from numamig.migrate.preflight import demand_node, demand_process, demand_shared
from numamig.migrate.request import Request
from numamig.model.nodeset import parse_nodeset
from numamig.model.process import Process
from numamig.replay.schema import Migrate, ProcessSelector, Profile
from numamig.yamlfile import Document

__all__ = ["check_profile", "demand_rights", "find_processes", "request_for"]


def find_processes(backend: Backend, selector: ProcessSelector) -> list[Process]:
    """The processes that a selector means, ascending by pid.

    :raises TargetGone: none fits.
    :raises UsageError: several do where one is meant.
    """
    candidates = backend.processes() if selector.pid is None else [backend.process(selector.pid)]
    found = [process for process in candidates if not process.zombie and _fits(process, selector)]
    said = ", ".join(
        f"{key} {value}" for key, value in selector.model_dump(exclude_none=True, exclude={"which"}).items()
    )
    if not found:
        raise TargetGone(f"no process has {said}")
    if selector.which == "largest":
        return [max(found, key=lambda process: (process.resident_bytes, -process.pid))]
    if selector.which == "only" and len(found) > 1:
        pids = ", ".join(str(process.pid) for process in found[:5])
        raise UsageError(f"{len(found)} processes have {said} ({pids})", hint="add which: largest or which: all")
    return found


def _fits(process: Process, selector: ProcessSelector) -> bool:
    return (
        (selector.name is None or process.name == selector.name)
        and (selector.user is None or process.user == selector.user)
        and (selector.cmdline is None or re.search(selector.cmdline, " ".join(process.cmdline)) is not None)
    )


def check_profile(backend: Backend, profile: Profile, document: Document) -> None:
    """Every node and every process that the profile names, all faults at once.

    :raises FileError: some are not there.
    :raises RefusedError: what is asked for may not be moved.
    """
    faults: list[Fault] = []
    for number, step in enumerate(profile.steps):
        if step.migrate is None:
            continue
        checks: list[tuple[tuple[str, ...], Callable[[], object]]] = [
            (("to",), partial(demand_node, backend, step.migrate.to)),
            (("pages", "from"), partial(_sources, backend, step.migrate)),
            (("process",), partial(_check_processes, backend, step.migrate)),
        ]
        for place, check in checks:
            try:
                check()
            except (UsageError, TargetGone) as error:
                faults.append(document.fault(("steps", number, "migrate", *place), str(error)))
    if faults:
        raise FileError(document.path, faults)


def _sources(backend: Backend, migrate: Migrate) -> tuple[int, ...] | None:
    if migrate.pages.from_ is None:
        return None
    sources = parse_nodeset(migrate.pages.from_, backend.topology().memory_nodes)
    if set(sources) <= {migrate.to}:
        raise UsageError(f"from and to are the same node {migrate.to}", hint="name another node")
    return sources


def _check_processes(backend: Backend, migrate: Migrate) -> None:
    """That the selector finds something, and that its pages may be moved as asked; of ``which: all``, that of one.

    :raises RefusedError: they may not.
    """
    found = find_processes(backend, migrate.process)
    refused: list[RefusedError] = []
    for process in found:
        try:
            demand_rights(backend, migrate, process)
        except RefusedError as error:
            refused.append(error)
    if refused and (migrate.process.which != "all" or len(refused) == len(found)):
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
    within = None
    if migrate.pages.at_least:
        large = [r for r in backend.regions(process.pid) if r.size_bytes >= migrate.pages.at_least]
        within = [(region.start, region.end) for region in large]
    return Request(
        pid=process.pid,
        to=Node(migrate.to),
        sources=_sources(backend, migrate),
        kinds=frozenset(migrate.pages.kind),
        within=within,
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
