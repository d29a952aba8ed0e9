"""One kernel against the simulator: kept cases, cases at random, crowded ones; what goes wrong is shrunk and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from tests.differential.case import Case, Report
from tests.differential.coverage import Coverage
from tests.differential.generator import CALLS_PER_CASE, cases, crowded_cases
from tests.differential.judge import Disagreement, judge
from tests.differential.kept import Kept, keep
from tests.differential.laboratory import Talk
from tests.differential.shrink import reductions, size

__all__ = ["Contest"]

Failure = tuple[Case, Report, Disagreement]
_Item = TypeVar("_Item")

_BATCH = 24
_CROWDED = 12
_UNSTEADY = 3
"""Cases to which a kernel may give two answers."""
_SHRUNK = 3
"""Different failures that are shrunk; all of them count."""
_MAY_VARY = ("returned", "errno", "status", "placement")
"""What two answers may differ in; contents and invariants hold always."""
_ROUNDS = 25
_CANDIDATES = 24
"""Reductions that are tried in one round, drawn from all of them in order."""


class Contest:
    """A run on one kernel. Its ``talk`` is held by the laboratory."""

    def __init__(
        self,
        kernel: str,
        seed: int,
        calls: int,
        kept: Sequence[Kept],
        narrate: Callable[[str], None],
        *,
        record: bool = False,
    ) -> None:
        self._kernel, self._seed, self._calls = kernel, seed, calls
        self._kept, self._narrate, self._record = kept, narrate, record
        self.coverage = Coverage(kernel)
        self.failures: list[Failure] = []
        self.unsteady: list[Failure] = []
        """The kernel answered otherwise when it was asked again, and then as the simulator does: they do not count."""
        self.new: list[Kept] = []
        self.finished = False
        self.calls_seconds = 0.0

    def talk(self) -> Talk:
        start = time.monotonic()
        if self._kept:
            reports = yield [kept.case for kept in self._kept]
            self._hear([kept.case for kept in self._kept], reports)
            for kept, report in zip(self._kept, reports, strict=True):
                if self._record and "error" not in report:
                    kept.reports[self._kernel] = report
                    kept.write()
            self._narrate(f"{len(self._kept)} kept cases replayed, {len(self.failures)} of them wrong")
        start = time.monotonic()
        for batch in _batches(cases(self._seed, self._calls), _BATCH):
            reports = yield batch
            self._hear(batch, reports)
            done, seconds = (batch[-1]["id"] + 1) * CALLS_PER_CASE, time.monotonic() - start
            if done % (4 * _BATCH * CALLS_PER_CASE) == 0 or done >= self._calls:
                self._narrate(f"{done} calls in {seconds:.0f} s, {len(self.failures)} disagreements")
        self.calls_seconds = time.monotonic() - start
        crowded = list(crowded_cases(self._seed, _CROWDED))
        reports = yield crowded
        self._hear(crowded, reports)
        yield from self._ask_again()
        seen: set[str] = set()
        for failure in self.failures:
            if failure[2].what != "error" and (kind := _kind(failure)) not in seen and len(seen) < _SHRUNK:
                seen.add(kind)
                yield from self._shrink(failure)
        self.finished = True

    def _hear(self, batch: Sequence[Case], reports: Sequence[Report]) -> None:
        for case, report in zip(batch, reports, strict=True):
            if "error" not in report:
                self.coverage.count(case, report)
            if disagreement := judge(case, report, self._kernel):
                self.failures.append((case, report, disagreement))
                if len(self.failures) <= 20:
                    self._narrate(f"case {case['id']}: {disagreement}")

    def _ask_again(self) -> Talk:
        """Whether the kernel stands by what it said: where it does not, it is no disagreement with anybody else."""
        for failure in [each for each in self.failures if each[2].what in _MAY_VARY][: 2 * _UNSTEADY]:
            case, _, first = failure
            reports = yield [case] * 2
            if len(self.unsteady) < _UNSTEADY and any(judge(case, r, self._kernel) is None for r in reports):
                self.failures.remove(failure)
                self.unsteady.append(failure)
                self._narrate(f"case {case['id']}: the kernel gives two answers; {first}; and as the simulator")

    def _shrink(self, failure: Failure) -> Talk:
        """Smaller and smaller, as long as it goes wrong at all; then kept."""
        case, report, disagreement = failure
        reports = yield [case]
        again = judge(case, reports[0], self._kernel)
        if again is None:
            return
        best = (case, reports[0], again)
        for number in range(_ROUNDS):
            case, _, disagreement = best
            candidates = [c for c in reductions(case, disagreement.call) if size(c) < size(case)]
            # Each round takes another stretch of them: those that fail to reduce are not asked for ever.
            first = number * _CANDIDATES % max(1, len(candidates))
            candidates = [*candidates[first:], *candidates[:first]][:_CANDIDATES]
            if not candidates:
                break
            reports = yield candidates
            wrong = [
                (candidate, report, found)
                for candidate, report in zip(candidates, reports, strict=True)
                if "error" not in report and (found := judge(candidate, report, self._kernel))
            ]
            if wrong:
                best = min(wrong, key=lambda each: size(each[0]))
            elif len(candidates) < _CANDIDATES:
                break
        case, report, disagreement = best
        areas = " ".join(area["recipe"] for area in case["areas"])
        why = f"{self._kernel}, seed {self._seed}, case {failure[0]['id']}: {disagreement}"
        kept = keep(f"{areas} {disagreement.what}", why, case, self._kernel, report)
        self.new.append(kept)
        self._narrate(f"shrunk from {size(failure[0])} to {size(case)}: {disagreement}; kept as {kept.path.name}")


def _kind(failure: Failure) -> str:
    case, _, found = failure
    values = "" if found.what in ("placement", "error") else f"{found.kernel} {found.simulator}"
    areas = found.where.split(",")[0] or " ".join(sorted({area["recipe"] for area in case["areas"]}))
    return f"{found.what} {areas} {values}"


def _batches(items: Iterable[_Item], count: int) -> Iterator[list[_Item]]:
    source = iter(items)
    while batch := list(islice(source, count)):
        yield batch
