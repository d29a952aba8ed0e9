"""What was done, by hand or by commands, as a profile that does it again.

A job is written down as it was asked for where that alone decides what becomes of its pages. Where chance or an
operator had a part in it (it was cancelled, sent elsewhere, found pages busy or no room), the pages that it moved are
named by their addresses, and those that stayed are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from numamig.backends.base import Backend
from numamig.errors import UsageError
from numamig.migrate.destination import Destination, Interleave, Node, NodeMap
from numamig.migrate.journal.store import JobEntry, Journal
from numamig.migrate.moved import where_moved
from numamig.migrate.order_mode import OrderMode
from numamig.migrate.plan import Plan
from numamig.migrate.request import Mapped, Request, RetryMode
from numamig.migrate.snapshot import JobState
from numamig.model.nodeset import format_nodeset
from numamig.model.outcome import Outcome
from numamig.model.process import Process
from numamig.replay.variables import literally
from numamig.resources import profiles_folder
from numamig.text import plain
from numamig.units import format_bytes

__all__ = ["Recording", "machine_named", "record", "write_profile"]

_MOST_RANGES = 5000
"""Of one file: what is more scattered is no profile that anybody reads, and too large for one."""
_DECIDED = (Outcome.MOVED, Outcome.ALREADY_THERE, Outcome.SHARED, Outcome.ABSENT, Outcome.UNMAPPED, Outcome.HINTED)
"""Outcomes that the same pages will have again."""
_COMMENT_WIDTH = 110


@dataclass(slots=True)
class Recording:
    """Steps of a profile, with what is to be said of each."""

    steps: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """(comment, step)."""
    jobs: int = 0
    left_out: list[int] = field(default_factory=list)
    """Jobs that moved nothing."""
    ranges: int = 0
    _at: dict[int, int] = field(default_factory=dict)
    """Job → the step, from 1 on, that does just what it did."""

    def add(self, journal: Journal, entry: JobEntry, processes: Sequence[Process], *, by_pid: bool) -> None:
        """One more job, in the order in which they were begun.

        :param processes: those that there are, to tell whether a name means one
        :param by_pid: on a simulated machine a pid always means the same process
        :raises UsageError: its pages are too scattered to be written down.
        """
        self.jobs += 1
        who = _who(entry.name, entry.image.pid, processes, by_pid=by_pid)
        undone = self._at.get(entry.undoes) if entry.undoes is not None else None
        if undone is not None and _is_decided(journal, entry) and entry.planned == _moved_by(journal, entry.undoes):
            self.steps.append((_comment(entry, "taken back"), {"undo": {"step": undone}}))
            return
        if entry.kind == "move" and _is_decided(journal, entry):
            request = Request.from_dict(entry.request)
            self.steps.append((_comment(entry, request.to.words), {"migrate": {"process": who, **_asked(request)}}))
            self._at[entry.id] = len(self.steps)
            return
        if not entry.outcomes[Outcome.MOVED]:
            self.left_out.append(entry.id)
            return
        self._add_as_it_moved(journal, entry, who)

    def add_plan(self, plan: Plan, request: Request, processes: Sequence[Process], *, by_pid: bool) -> None:
        """What is only planned, as it is asked for.

        :param request: as it was before the machine settled where pages go
        """
        who = _who(plan.process.name, plan.process.pid, processes, by_pid=by_pid)
        words = f"planned: {plan.process.name}, {request.to.words}: {plan.pages:,} pages ({format_bytes(plan.bytes)})"
        self.steps.append((plain(words)[:_COMMENT_WIDTH], {"migrate": {"process": who, **_asked(request)}}))

    def _add_as_it_moved(self, journal: Journal, entry: JobEntry, who: dict[str, Any]) -> None:
        moved = where_moved(journal, entry)
        self.ranges += len(moved)
        if self.ranges > _MOST_RANGES:
            raise UsageError(
                f"job {entry.id} moved pages in {len(moved):,} places: a profile cannot name so many",
                hint="leave it out: --jobs names those that are meant",
            )
        request = Request.from_dict(entry.request)
        for node in sorted({target for _, _, target in moved}):
            ranges = [f"{start:#x}-{end:#x}" for start, end, target in moved if target == node]
            gently = _gently(request)
            step = {"process": who, "pages": {"address": ranges}, "to": node, **gently}
            self.steps.append((_comment(entry, f"as it went, to node {node}"), {"migrate": step}))

    def text(self, title: str, backend: str, scenario: str | None) -> str:
        """The file.

        :raises UsageError: nothing was moved.
        """
        if not self.steps:
            raise UsageError("nothing was moved that could be written down", hint="move something first")
        head: dict[str, Any] = {"numamig": 1, "title": literally(title), "backend": backend}
        if scenario is not None:
            head["scenario"] = literally(scenario)
        lines = [str(yaml.safe_dump(head, sort_keys=False, width=1 << 16)), "steps:\n"]
        for comment, step in self.steps:
            lines.append(f"  # {comment}\n")
            lines += [f"  {line}\n" for line in _dump([step]).splitlines()]
        return "".join(lines)


def record(journal: Journal, entries: Sequence[JobEntry], processes: Sequence[Process], *, by_pid: bool) -> Recording:
    """Jobs as a profile.

    :raises UsageError: one's pages are too scattered to be written down.
    """
    recording = Recording()
    for entry in entries:
        recording.add(journal, entry, processes, by_pid=by_pid)
    return recording


def machine_named(backend: Backend) -> tuple[str, str | None]:
    """As a profile names a machine: its backend, and the scenario that a simulated one was made from."""
    scenario = backend.capabilities.scenario
    if not scenario:
        return backend.name, None
    path = Path(scenario)
    if path.parent == profiles_folder() / "scenarios":
        return backend.name, f"scenarios/{path.name}"
    return backend.name, str(path.absolute())


def write_profile(path: Path, text: str) -> None:
    """Write a new file.

    :raises UsageError: there is one already, or it cannot be written.
    """
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already", hint="choose another name; nothing is overwritten") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}", hint="choose another place") from None


def _dump(value: object) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=110, allow_unicode=False))


def _is_decided(journal: Journal, entry: JobEntry) -> bool:
    """Whether the same request will do the same to the same pages."""
    if entry.state != JobState.DONE.value or any(n for outcome, n in entry.outcomes.items() if outcome not in _DECIDED):
        return False
    return not any(what.startswith(("retarget", "resume")) for _, what, _, _, _ in journal.acts(entry.id))


def _moved_by(journal: Journal, job: int | None) -> int:
    return 0 if job is None else journal.job(job).outcomes[Outcome.MOVED]


def _who(name: str, pid: int, processes: Sequence[Process], *, by_pid: bool) -> dict[str, Any]:
    alike = sum(process.name == name for process in processes)
    said = literally(name)
    return {"name": said} if alike == 1 and not by_pid else {"pid": pid, "name": said}


def _comment(entry: JobEntry, words: str) -> str:
    counts = ", ".join(
        f"{pages:,} {outcome.key.replace('_', ' ')}" for outcome, pages in entry.outcomes.items() if pages
    )
    size = format_bytes(entry.outcomes[Outcome.MOVED] * entry.page_size)
    return plain(f"job {entry.id}: {entry.name}, {words}: {counts or 'nothing'} ({size})")[:_COMMENT_WIDTH]


def _asked(request: Request) -> dict[str, Any]:
    """The keys of a migrate step, those left out that say what holds anyway."""
    pages: dict[str, Any] = {}
    if request.sources is not None:
        pages["from"] = format_nodeset(request.sources)
    if request.kinds:
        pages["kind"] = sorted(kind.value for kind in request.kinds)
    if request.paths:
        pages["path"] = [literally(path) for path in request.paths]
    if request.within is not None:
        pages["address"] = [f"{start:#x}-{end:#x}" for start, end in request.within]
    if request.least_region_bytes:
        pages["at_least"] = request.least_region_bytes
    if request.most_region_bytes is not None:
        pages["at_most"] = request.most_region_bytes
    if request.huge is not None:
        pages["huge"] = request.huge
    if request.heat is not None:
        pages["heat"] = {"least": _percent(request.heat.least), "most": _percent(request.heat.most)}
    if request.mapped is not Mapped.ANY:
        pages["mapped"] = request.mapped.value
    if request.most_pages is not None:
        pages["most"] = request.most_pages
    said: dict[str, Any] = {"pages": pages} if pages else {}
    said["to"] = _where_to(request.to)
    if request.order.mode is OrderMode.RANDOM:
        said["order"] = {"mode": "random", "seed": request.order.seed}
    elif request.order.mode is not OrderMode.ADDRESS:
        said["order"] = request.order.mode.value
    return {**said, **_gently(request), **_retry(request)}


def _gently(request: Request) -> dict[str, Any]:
    usual = Request(request.pid, request.to)
    batch: dict[str, Any] = {}
    if request.batch_pages != usual.batch_pages:
        batch["pages"] = request.batch_pages
    if request.budget_ns is not None:
        batch["budget"] = f"{request.budget_ns}ns"
    if request.rate is not None:
        batch["rate"] = f"{request.rate}B/s"
    if request.threads != usual.threads:
        batch["threads"] = request.threads
    if request.most_calls != usual.most_calls:
        batch["calls"] = request.most_calls or 0
    if request.reserve_bytes is not None:
        batch["reserve"] = request.reserve_bytes
    said: dict[str, Any] = {"batch": batch} if batch else {}
    if request.shared:
        said["shared"] = True
    if request.critical:
        said["critical"] = True
    return said


def _retry(request: Request) -> dict[str, Any]:
    retry, usual = request.retry, Request(request.pid, request.to).retry
    if retry == usual:
        return {}
    said: dict[str, Any] = {"mode": retry.mode.value}
    if retry.mode is RetryMode.BOUNDED:
        said["passes"] = retry.passes
    if retry.mode is RetryMode.UNTIL:
        said["deadline"] = f"{retry.deadline_ns}ns"
    if retry.mode is not RetryMode.NEVER and retry.backoff_ns != usual.backoff_ns:
        said["backoff"] = f"{retry.backoff_ns}ns"
    return {"retry": said}


def _where_to(to: Destination) -> object:
    if isinstance(to, Node):
        return to.node
    if isinstance(to, NodeMap):
        return {"map": dict(to.pairs)}
    if isinstance(to, Interleave):
        return (
            {"weights": dict(zip(to.nodes, to.weights, strict=True))} if to.weights else {"interleave": list(to.nodes)}
        )
    return {"follow": "cpus"}


def _percent(share: float) -> str:
    return f"{100 * share:.6g}%"
