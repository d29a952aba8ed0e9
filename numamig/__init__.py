"""numamig: see where the memory of processes lives on a NUMA machine, and move it, in small visible steps.

What the console and the commands do can be done from Python with the names below; each is imported when it is first
used, and whatever else is in the package may change.

    from numamig import Job, Node, Recorder, Request, open_backend, plan_request, run_job

    backend = open_backend("linux")                       # or "simulator"
    plan = plan_request(backend, Request(4711, Node(1), sources=(0,)))
    plan.demand_possible()                                # raises what speaks against it
    recorder = Recorder.open(backend)                     # the journal: what undo and resume read
    record = recorder.begin(plan)
    job = Job(record.number, backend, plan, record)
    for event in run_job(job, backend):
        print(event)
    print(job.snapshot().outcomes)
    recorder.close()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numamig.backends.base import Backend
    from numamig.backends.registry import open_backend
    from numamig.errors import (
        BackendError,
        ExitCode,
        FileError,
        JournalError,
        LabError,
        NumamigError,
        RefusedError,
        TargetGone,
        UsageError,
    )
    from numamig.migrate.destination import Destination, FollowCpus, Interleave, Node, NodeMap
    from numamig.migrate.job import Job
    from numamig.migrate.journal.record import Recorder
    from numamig.migrate.plan import Plan, plan_request
    from numamig.migrate.request import Request, Retry, RetryMode
    from numamig.migrate.run import run_job
    from numamig.migrate.snapshot import JobSnapshot
    from numamig.model.nodeset import parse_nodeset
    from numamig.model.outcome import Outcome, OutcomeCounts
    from numamig.observe.placement import Placement, placement_of_process
    from numamig.replay.run import load_profile, run_profile

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "BackendError",
    "Destination",
    "ExitCode",
    "FileError",
    "FollowCpus",
    "Interleave",
    "Job",
    "JobSnapshot",
    "JournalError",
    "LabError",
    "Node",
    "NodeMap",
    "NumamigError",
    "Outcome",
    "OutcomeCounts",
    "Placement",
    "Plan",
    "Recorder",
    "RefusedError",
    "Request",
    "Retry",
    "RetryMode",
    "TargetGone",
    "UsageError",
    "__version__",
    "load_profile",
    "open_backend",
    "parse_nodeset",
    "placement_of_process",
    "plan_request",
    "run_job",
    "run_profile",
]

_MODULES = {
    "backends.base": "Backend",
    "backends.registry": "open_backend",
    "errors": "BackendError ExitCode FileError JournalError LabError NumamigError RefusedError TargetGone UsageError",
    "migrate.destination": "Destination FollowCpus Interleave Node NodeMap",
    "migrate.job": "Job",
    "migrate.journal.record": "Recorder",
    "migrate.plan": "Plan plan_request",
    "migrate.request": "Request Retry RetryMode",
    "migrate.run": "run_job",
    "migrate.snapshot": "JobSnapshot",
    "model.nodeset": "parse_nodeset",
    "model.outcome": "Outcome OutcomeCounts",
    "observe.placement": "Placement placement_of_process",
    "replay.run": "load_profile run_profile",
}
_HOMES = {name: f"numamig.{module}" for module, names in _MODULES.items() for name in names.split()}
"""Public name → module that has it."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
