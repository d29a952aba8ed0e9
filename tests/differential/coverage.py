"""What the calls of a run came upon, counted; and what must have occurred, or the run proves less than it says."""

from __future__ import annotations

import errno
from collections import Counter
from dataclasses import dataclass, field

from numamig.backends.base import UNWRITTEN
from tests.differential.case import CallSpec, Case, Report
from tests.differential.recipes import RECIPES

__all__ = ["Coverage"]

_STATUSES = ("node", "EFAULT", "ENOENT", "EACCES", "EBUSY", "unwritten")
_RETURNS = ("0", "above 0", "EINVAL", "EPERM", "ESRCH", "ENODEV", "EACCES", "ENOMEM")
_KINDS = ("query", "flags 0", "MOVE", "MOVE_ALL", "bad flags", "no pages")
_LARGE = {"linux-6.1": (512,), "linux-6.12": (512, 16)}
_NOWHERE = "no area"


@dataclass(slots=True)
class Coverage:
    """Counts of one kernel."""

    kernel: str
    calls: int = 0
    addresses: int = 0
    returns: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    callers: Counter[str] = field(default_factory=Counter)
    pids: Counter[str] = field(default_factory=Counter)
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(recipe, status)"""
    folios: Counter[int] = field(default_factory=Counter)
    """Large folios that were really had, by base pages."""
    moved_areas: Counter[str] = field(default_factory=Counter)
    """Recipes of which pages changed their place."""

    def count(self, case: Case, report: Report) -> None:
        for truth in report["areas"]:
            for _, _, index, size, _ in truth["folios"]:
                self.folios[size] += size > 1 and index == 0
        before = [truth["placement"] for truth in report["areas"]]
        for call, (returned, number, statuses, placements) in zip(case["calls"], report["calls"], strict=True):
            self.calls += 1
            self.addresses += len(statuses)
            self.returns[errno.errorcode[number] if returned < 0 else "above 0" if returned else "0"] += 1
            self.kinds[_kind(call)] += 1
            self.callers[call["caller"]] += 1
            self.pids[call["pid"]] += 1
            for (area, _), status in zip(call["addresses"], statuses, strict=True):
                self.statuses[_recipe(case, area), _name(status)] += 1
            for number, (was, now) in enumerate(zip(before, placements, strict=True)):
                self.moved_areas[_recipe(case, number)] += was != now
            before = placements

    def missing(self) -> list[str]:
        """What must occur and never did."""
        recipes = {recipe for recipe, _ in self.statuses}
        statuses = {status for _, status in self.statuses}
        untouchable = {"untouched", "read", "huge_read", "huge_untouched", "vdso", "vvar"}
        return [
            *(f"area {recipe}" for recipe in RECIPES if recipe not in recipes),
            *(f"moved: {recipe}" for recipe in RECIPES if recipe not in untouchable and not self.moved_areas[recipe]),
            *(f"status {status}" for status in _STATUSES if status not in statuses),
            *(f"return {returned}" for returned in _RETURNS if not self.returns[returned]),
            *(f"call {kind}" for kind in _KINDS if not self.kinds[kind]),
            *(f"folios of {size} pages" for size in _LARGE[self.kernel] if not self.folios[size]),
        ]

    def __str__(self) -> str:
        recipes = sorted({recipe for recipe, _ in self.statuses})
        width = max(map(len, recipes), default=0)
        rows = [f"{'':{width}}" + "".join(f"{status:>11}" for status in _STATUSES) + "   calls that moved it"]
        for recipe in recipes:
            cells = "".join(f"{self.statuses[recipe, status] or '·':>11}" for status in _STATUSES)
            rows.append(f"{recipe:{width}}{cells}{self.moved_areas[recipe] or '':>11}")
        for name, counts in (
            ("returned", self.returns),
            ("calls", self.kinds),
            ("callers", self.callers),
            ("processes", self.pids),
            ("large folios, by pages", +self.folios),
        ):
            rows.append(f"{name}: " + ", ".join(f"{what} {count}" for what, count in counts.most_common()))
        return "\n".join(rows)


def _recipe(case: Case, area: int) -> str:
    return case["areas"][area]["recipe"] if area >= 0 else _NOWHERE


def _name(status: int) -> str:
    if status == UNWRITTEN:
        return "unwritten"
    return errno.errorcode[-status] if status < 0 else "node"


def _kind(call: CallSpec) -> str:
    if not call["addresses"]:
        return "no pages"
    if call["flags"] & ~6:
        return "bad flags"
    if call["nodes"] is None:
        return "query"
    return "MOVE_ALL" if call["flags"] & 4 else "MOVE" if call["flags"] & 2 else "flags 0"
