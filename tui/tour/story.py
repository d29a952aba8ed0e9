"""The story that the tour tells: its chapters, as a table. Captions fit into a line of 78 cells."""

from __future__ import annotations

from pathlib import Path

from tui.actions.action import MAP, PROCESSES, REGIONS
from tui.tour import conditions as when
from tui.tour.chapter import Beat, Chapter

__all__ = ["story"]

_ALL = Beat(
    "Every row is a process, and the bars say on which nodes its memory lies.", until=when.target_seen, hold_s=3.0
)
_FIND = Chapter(
    "Find",
    "the process with the most remote memory",
    PROCESSES,
    (
        _ALL,
        Beat(
            "First comes whoever has most memory on other nodes than it runs on.", until=when.target_first, hold_s=3.0
        ),
        Beat(
            "{name} runs on node {home}, and {remote} of its memory is elsewhere: {remote_size}.",
            ("g",),
            "to the first row",
            until=when.selected,
            hold_s=4.0,
        ),
    ),
)
_FIND_OURS = Chapter(
    "Find",
    "the workload of the tour, whose memory is on the wrong node",
    PROCESSES,
    (
        _ALL,
        Beat(
            "/ finds {name}, which the tour has started; it will touch nothing else.",
            ("/", *"demo-db", "enter"),
            "filter",
            until=when.selected,
            hold_s=3.0,
            needless=when.selected,
        ),
        Beat("It runs on node {home}, and {remote} of its memory is elsewhere: {remote_size}.", hold_s=4.0),
    ),
)
_LOOK = Chapter(
    "Look",
    "its regions and its page map: strangers glow",
    PROCESSES,
    (
        Beat(
            "Its regions: what each part of its memory is, and where it lies.",
            ("enter",),
            "into its regions",
            until=when.regions_seen,
            hold_s=3.5,
        ),
        Beat(
            "The page map: a cell is a bucket of pages. Home is dark, strangers glow.",
            ("enter",),
            "into the map",
            until=when.map_seen,
            hold_s=4.5,
        ),
        Beat(
            "A digit is a node. This is what node {away} holds of it.",
            ("{away}",),
            "only node {away} in colour",
            hold_s=3.0,
        ),
        Beat(
            "What glows has the long way to go: its threads run on node {home}.",
            ("escape",),
            "all nodes again",
            hold_s=2.0,
        ),
    ),
)
_MARK = Chapter(
    "Mark",
    "what is on the wrong node",
    REGIONS,
    (
        Beat(
            "Anonymous memory is what a program works on: a filter finds it.",
            ("/", *"anon", "enter"),
            "filter",
            until=when.filtered,
            hold_s=2.5,
            needless=when.filtered,
        ),
        Beat(
            "Marked: {marked}. A plan is for what is marked.",
            ("a",),
            "mark all that are shown",
            until=when.marked,
            hold_s=3.5,
            needless=when.marked,
        ),
    ),
    needs=when.selected,
)
_PLAN = Chapter(
    "Plan",
    "pages, time, how long threads wait, and what speaks against it",
    REGIONS,
    (
        Beat(
            "Nothing moves yet. To: its home. Before and at best: what that would change.",
            ("m",),
            "plan a move",
            until=when.plan_seen,
            hold_s=5.0,
        ),
        Beat("Time: how long it takes, and how long a thread may have to wait. Findings below.", hold_s=4.5),
        Beat(
            "The job is queued, and held.",
            ("s",),
            "queue it, held",
            until=when.job_there_or_asked,
            again=True,
        ),
        Beat(
            "What stays was told, and it goes on: {planned} pages are queued, and held.",
            ("y",),
            "go on, in spite of the warning",
            needless=when.not_asked,
        ),
        Beat("{planned} pages are queued, and held: the job waits to be told.", until=when.job_there, hold_s=2.5),
    ),
    needs=when.selected,
    done=when.job_there,
)
_STEP = Chapter(
    "Step",
    "one batch at a time",
    MAP,
    (
        Beat(
            "One batch has moved: {moved} pages. The job is held again.",
            (".",),
            "one step",
            until=when.job_stepped,
            hold_s=3.5,
        ),
        Beat("Another: {moved} by now. The map and the account below say the same.", (".",), "one step", hold_s=2.5),
    ),
    needs=when.job_unfinished,
    done=when.job_ended,
)
_RUN = Chapter(
    "Run",
    "the lights go out, and the workload's speed goes up",
    MAP,
    (
        Beat(
            "{name} works on while its pages move, now at {speed}.",
            ("p",),
            "run",
            until=when.half_way,
            needless=when.job_ended,
        ),
        Beat(
            "Paused between two batches: {moved} pages are there, {left} are still here.",
            ("p",),
            "pause",
            until=when.job_held,
            hold_s=4.0,
            needless=when.job_ended,
        ),
        Beat(
            "And on: {moved} pages are there. {name} is at {speed}.",
            ("p",),
            "run",
            until=when.job_ended,
            hold_s=1.0,
            needless=when.job_ended,
        ),
        Beat("{change}.", until=when.at_home, hold_s=5.0),
    ),
    needs=when.job_unfinished,
    done=when.job_ended,
    measures=True,
)
_LEDGER = Chapter(
    "Account",
    "what became of every page, and why some stayed",
    MAP,
    (
        Beat(
            "Every page has one outcome. Stayed: {stayed}; why, and what would help.",
            ("L",),
            "ledger",
            until=when.ledger_open,
            hold_s=6.0,
        ),
        Beat("Nothing is lost, and nothing is left untold.", ("escape",), "back", until=when.no_dialog, hold_s=1.0),
    ),
    needs=when.job_there,
)
_UNDO = Chapter(
    "Undo",
    "each page goes back to where it was",
    MAP,
    (
        Beat(
            "The way back: each page goes to the node that it came from.",
            ("u",),
            "take the job back",
            until=when.undo_seen,
            hold_s=4.0,
        ),
        Beat(
            "The lights come on again: {back} pages are back.",
            ("y",),
            "put them back",
            until=when.undo_there_or_asked,
            again=True,
        ),
        Beat("The lights come on again: {back} pages are back.", ("y",), "go on", needless=when.not_asked),
        Beat("The lights come on again: {back} pages are back.", until=when.taken_back),
        Beat("As it was: {remote} remote, and {name} is at {speed}.", until=when.away_again, hold_s=4.0),
    ),
    needs=when.job_to_undo,
    done=when.taken_back,
)


def _save(file: Path) -> Chapter:
    return Chapter(
        "Save",
        "what was done, as a profile that does it again",
        MAP,
        (
            Beat(
                "What was done by hand can be written down.", ("w",), "save as a profile", until=when.naming, hold_s=2.0
            ),
            Beat("Under a name of its own.", ("ctrl+u", "ctrl+k"), "another name", until=when.unnamed),
            Beat(
                "This does it again, without a console:  numamig replay {file}",
                (*str(file), "enter"),
                "name the file",
                until=when.saved,
                hold_s=4.5,
            ),
        ),
        needs=when.job_there,
        done=when.saved,
    )


def story(file: Path, *, real: bool) -> tuple[Chapter, ...]:
    """
    :param file: that the profile is saved as
    :param real: on a real machine, about a workload that was started for the tour
    """
    return (_FIND_OURS if real else _FIND, _LOOK, _MARK, _PLAN, _STEP, _RUN, _LEDGER, _save(file), _UNDO)
