"""What a run makes of a kernel that answers otherwise than the simulator: once, or always."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from tests.differential import contest as contest_module
from tests.differential.case import Case, Report
from tests.differential.contest import Contest
from tests.differential.kept import kept_cases

KERNEL = "linux-6.12"
KEPT = next(kept for kept in kept_cases() if KERNEL in kept.reports)


def wrong(report: Report) -> Report:
    other: Any = copy.deepcopy(report)
    other["calls"][0][0] = 17
    return other  # type: ignore[no-any-return]


@pytest.fixture
def contest(monkeypatch: pytest.MonkeyPatch) -> Contest:
    monkeypatch.setattr(contest_module, "cases", lambda seed, calls: iter([KEPT.case]))
    monkeypatch.setattr(contest_module, "crowded_cases", lambda seed, count: iter(()))
    monkeypatch.setattr(contest_module, "keep", lambda *args: KEPT)
    monkeypatch.setattr(contest_module, "reductions", lambda case, call: [])
    return Contest(KERNEL, 1, 1, [], lambda line: None)


def hold(contest: Contest, answers: Sequence[Report]) -> int:
    """Answers case after case, the last one for ever; how many were asked."""
    talk, asked = contest.talk(), 0
    batch: Sequence[Case] = next(talk)
    while True:
        reports = [answers[min(asked + n, len(answers) - 1)] for n in range(len(batch))]
        asked += len(batch)
        try:
            batch = talk.send(reports)
        except StopIteration:
            return asked


def test_a_kernel_that_gives_two_answers_disagrees_with_itself(contest: Contest) -> None:
    right = KEPT.reports[KERNEL]
    assert hold(contest, [wrong(right), wrong(right), right]) == 3
    assert contest.finished and not contest.failures and len(contest.unsteady) == 1


def test_a_kernel_that_stands_by_its_answer_disagrees_with_the_simulator(contest: Contest) -> None:
    hold(contest, [wrong(KEPT.reports[KERNEL])])
    assert contest.finished and len(contest.failures) == 1 and not contest.unsteady


def test_changed_contents_are_never_put_down_to_the_kernels_mood(contest: Contest) -> None:
    right = KEPT.reports[KERNEL]
    changed: Any = copy.deepcopy(right)
    changed["intact"] = False
    hold(contest, [changed, right])
    assert len(contest.failures) == 1 and not contest.unsteady
