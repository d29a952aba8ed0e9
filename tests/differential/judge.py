"""Whether simulator and kernel agree about a case, and where they first do not."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from numamig.backends.base import UNWRITTEN
from tests.differential.case import CallAnswer, CallSpec, Case, Report
from tests.differential.simulated import answers

__all__ = ["Disagreement", "expand", "judge", "name_status"]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The first difference in a case."""

    call: int
    """Index of the call; -1 where the case as such went wrong in the guest."""
    what: str
    """ "returned", "errno", "status", "placement", "contents" or "error"."""
    kernel: str
    simulator: str
    where: str = ""
    """The recipe of the area concerned."""

    def __str__(self) -> str:
        about = f" ({self.where})" if self.where else ""
        return f"call {self.call}: {self.what}{about}: kernel {self.kernel}, simulator {self.simulator}"


def judge(case: Case, report: Report, kernel: str) -> Disagreement | None:
    """None where all agrees: return value, errno, every status cell, and the placement of every page.

    Where a node ran out of memory the kernel promises no placement: then no page may be lost, doubled, or anywhere else
    than where it was or was to be.
    """
    if "error" in report:
        return Disagreement(-1, "error", report["error"], "")
    before = [truth["placement"] for truth in report["areas"]]
    for number, (real, simulated) in enumerate(zip(report["calls"], answers(case, report, kernel), strict=True)):
        out_of_memory = real[1] == errno.ENOMEM
        if found := _compare(case, number, real, simulated, placement=not out_of_memory):
            return found
        if out_of_memory:
            for who, now in (("kernel", real[3]), ("simulator", simulated[3])):
                if wrong := _misplaced(case["calls"][number], before, now):
                    return Disagreement(number, f"invariant of the {who}", wrong, "")
            break  # from here on they are two machines
        before = real[3]
    if not report["intact"] or report["doubled"]:
        what = f"contents changed, {report['doubled']} pages doubled" if not report["intact"] else "pages doubled"
        return Disagreement(len(case["calls"]) - 1, "contents", what, "never changes them")
    return None


def _misplaced(call: CallSpec, before: Sequence[str], now: Sequence[str]) -> str:
    """What is wrong with where pages are, after a call that ran out of memory; empty if nothing is."""
    targets = {str(node) for node in call["nodes"] or ()}
    for number, (was, became) in enumerate(zip(before, now, strict=True)):
        for page, (old, new) in enumerate(zip(expand(was), expand(became), strict=True)):
            if new != old and not (old.isdigit() and new in targets):
                return f"page {page} of area {number} was {old!r} and is {new!r}"
    return ""


def expand(placement: str) -> str:
    """A letter a page."""
    return "".join(run.split("x")[1] * int(run.split("x")[0]) for run in placement.split())


def _compare(
    case: Case, number: int, real: CallAnswer, simulated: CallAnswer, *, placement: bool
) -> Disagreement | None:
    for what, mine, theirs in zip(("returned", "errno"), real, simulated, strict=False):
        if mine != theirs:
            return Disagreement(number, what, str(mine), str(theirs))
    addresses = case["calls"][number]["addresses"]
    for cell, (mine, theirs) in enumerate(zip(real[2], simulated[2], strict=True)):
        if mine != theirs:
            area = addresses[cell][0]
            where = case["areas"][area]["recipe"] if area >= 0 else "no area"
            return Disagreement(number, "status", name_status(mine), name_status(theirs), f"{where}, cell {cell}")
    for area, (mine, theirs) in enumerate(zip(real[3], simulated[3], strict=True)):
        if placement and mine != theirs:
            return Disagreement(number, "placement", mine, theirs, f"{case['areas'][area]['recipe']}, area {area}")
    return None


def name_status(status: int) -> str:
    if status == UNWRITTEN:
        return "unwritten"
    return f"-{errno.errorcode.get(-status, status)}" if status < 0 else f"node {status}"
