"""Cases that once went wrong, against the answers that real kernels gave: no laboratory needed."""

from __future__ import annotations

import pytest

from tests.differential.generator import CALLS_PER_CASE, cases, make_case
from tests.differential.judge import judge
from tests.differential.kept import Kept, kept_cases
from tests.differential.shrink import reductions, size

KEPT = kept_cases()


@pytest.mark.parametrize("kept", KEPT, ids=[kept.path.stem for kept in KEPT])
def test_the_simulator_answers_as_the_kernel_did(kept: Kept) -> None:
    assert kept.reports, "no kernel's answer is recorded: run python -m tests.differential --record"
    for kernel, report in kept.reports.items():
        disagreement = judge(kept.case, report, kernel)
        assert disagreement is None, f"{kernel}: {disagreement}"


def test_a_seed_names_its_cases_for_ever() -> None:
    assert list(cases(7, 5 * CALLS_PER_CASE)) == [make_case(7, number) for number in range(5)]
    assert make_case(7, 3) != make_case(8, 3)


def test_reductions_are_whole_cases_and_end() -> None:
    """Always taking the first that is smaller must come to an end, and never leave an address without its area."""
    case = make_case(1, 5)
    for _ in range(1000):
        smaller = [each for each in reductions(case, len(case["calls"]) - 1) if size(each) < size(case)]
        if not smaller:
            break
        for each in smaller:
            for call in each["calls"]:
                assert all(-1 <= area < len(each["areas"]) for area, _ in call["addresses"])
                assert call["nodes"] is None or len(call["nodes"]) == len(call["addresses"])
        case = smaller[0]
    else:
        raise AssertionError("reductions do not end")
    assert len(case["calls"]) == 1
