"""What the tour waits for: nothing but what can be seen in the console's snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.screen import Screen

from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.outcome import Outcome
from tui.dialogs.asking import Asking
from tui.dialogs.confirm import Confirm
from tui.dialogs.ledger import LedgerDialog
from tui.dialogs.plan import PlanDialog
from tui.dialogs.save import SaveDialog
from tui.dialogs.undo import UndoDialog
from tui.tour.chapter import Condition
from tui.tour.scene import Scene

__all__ = [
    "at_home",
    "away_again",
    "filtered",
    "half_way",
    "job_ended",
    "job_held",
    "job_runs",
    "job_stepped",
    "job_there",
    "job_there_or_asked",
    "job_to_undo",
    "job_unfinished",
    "ledger_open",
    "map_seen",
    "marked",
    "naming",
    "no_dialog",
    "not_asked",
    "plan_seen",
    "regions_seen",
    "saved",
    "selected",
    "taken_back",
    "target_first",
    "target_seen",
    "undo_seen",
    "undo_there_or_asked",
    "unnamed",
]

_HALF = 0.5


def _job(test: Callable[[JobSnapshot], bool]) -> Callable[[Scene], bool]:
    def holds(scene: Scene) -> bool:
        job = scene.job
        return job is not None and test(job)

    return holds


def _first(scene: Scene) -> bool:
    """It is on top of the list, which is not sorted at every look."""
    return scene.identity is not None and next(iter(scene.main.processes.keys), None) == scene.identity


def _open(kind: type[Screen[Any]]) -> Callable[[Scene], bool]:
    return lambda scene: isinstance(scene.screen, kind)


def _planned(kind: type[Asking[Any]]) -> Callable[[Scene], bool]:
    """The dialog is open, and what it comes to has been worked out."""
    return lambda scene: isinstance(scene.screen, kind) and scene.screen.shown is not None


def _looked_at(scene: Scene) -> bool:
    target = scene.target
    return target is not None and target.placement is not None and bool(target.home)


def _regions_seen(scene: Scene) -> bool:
    seen = scene.bridge.looker.regions
    return seen is not None and seen.identity == scene.identity and seen.placements is not None


def _filtered(scene: Scene) -> bool:
    return bool(scene.main.regions.filter) and not scene.main.filter_bar.display and scene.selected


def _map_seen(scene: Scene) -> bool:
    seen = scene.bridge.looker.map
    return seen is not None and seen.identity == scene.identity


def _at_home(scene: Scene) -> bool:
    """Its row says what the job has done."""
    target = scene.target
    if target is None or target.placement is None:
        return False
    return (target.remote_bytes or 0) < target.placement.total_bytes / 4


def _away_again(scene: Scene) -> bool:
    target = scene.target
    return target is not None and target.placement is not None and not _at_home(scene)


def _unfinished(scene: Scene) -> bool:
    """It is the one that job keys act on: nothing else is touched."""
    job, acting = scene.job, scene.main.queue.acting
    return job is not None and acting is not None and acting.number == job.number


def _to_undo(scene: Scene) -> bool:
    job, undoable = scene.job, scene.main.queue.undoable
    return job is not None and job.state.ended and undoable is not None and undoable.number == job.number


def _unnamed(scene: Scene) -> bool:
    return isinstance(scene.screen, SaveDialog) and not scene.screen.name_field.value


def _asked(scene: Scene) -> bool:
    """In one sentence, before it begins."""
    return isinstance(scene.screen, Confirm)


def _taken_back(scene: Scene) -> bool:
    return scene.undo is not None and scene.undo.state.ended


target_first = Condition("the process is on top of the list", _first, usual_s=0.5)
target_seen = Condition("the process is there, and its memory has been looked at", _looked_at, usual_s=2.0)
selected = Condition("the cursor is on the process", lambda scene: scene.selected and not scene.main.filter_bar.display)
filtered = Condition("the filter is in place", _filtered)
regions_seen = Condition("its regions have been looked at", _regions_seen)
map_seen = Condition("its map has been drawn", _map_seen)
marked = Condition("regions are marked", lambda scene: bool(scene.main.regions.marked) and scene.selected)
plan_seen = Condition("the plan has been worked out", _planned(PlanDialog), usual_s=1.0)
undo_seen = Condition("the way back has been worked out", _planned(UndoDialog), usual_s=1.0)
no_dialog = Condition("the dialog is closed", lambda scene: not scene.in_dialog)
job_there = Condition("the job is in the queue", lambda scene: scene.job is not None and not scene.in_dialog)
job_there_or_asked = Condition(
    "the job is in the queue", lambda scene: _asked(scene) or (scene.job is not None and not scene.in_dialog), 1.0
)
undo_there_or_asked = Condition(
    "the way back is in the queue", lambda scene: _asked(scene) or (scene.undo is not None and not scene.in_dialog)
)
not_asked = Condition("nothing is asked first", lambda scene: not _asked(scene))
job_stepped = Condition(
    "a batch has been moved",
    _job(lambda job: job.outcomes[Outcome.MOVED] > 0 and job.state is not JobState.RUNNING),
)
job_runs = Condition("the job runs", _job(lambda job: job.state is JobState.RUNNING or job.state.ended))
half_way = Condition("half of it has moved", _job(lambda job: job.progress >= _HALF or job.state.ended), 4.0)
job_held = Condition("the job is paused", _job(lambda job: job.state is not JobState.RUNNING))
job_ended = Condition("the job has ended", _job(lambda job: job.state.ended), 4.0)
job_unfinished = Condition("there is a job of it to go on with", _unfinished)
job_to_undo = Condition("there is a job of it to take back", _to_undo)
at_home = Condition("the process table says so", _at_home, 1.5)
away_again = Condition("the process table says so", _away_again, 1.5)
ledger_open = Condition("the ledger is open", _open(LedgerDialog))
naming = Condition("a name is asked for", _open(SaveDialog))
unnamed = Condition("the field is empty", _unnamed)
saved = Condition("the file has been written", lambda scene: scene.file.exists() and not scene.in_dialog)
taken_back = Condition("the pages are back", _taken_back, 6.0)
