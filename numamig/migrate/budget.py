"""What a call costs, learnt from calls: how many pages fit a budget, and whether it can be held at all.

A call takes F + c · pages, times noise that is about log-normal: F is the draining of lists on every CPU, c the work
on a page (docs/kernel.md). A Kalman filter follows both, and knows how little it knows: next to nothing about F while
every call is large, next to nothing about c while F dominates. Calls that are too far off to be chance mean that the
cost has changed: then old knowledge is given up at once. Source for that: E. S. Page, "Continuous Inspection Schemes",
Biometrika 1954 (CUSUM).
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import NamedTuple

__all__ = ["MOST_PAGES", "CallCost", "Fit"]

MOST_PAGES = 65_536

_USUAL_SPREAD = 0.15  # log-sigma of call durations that is expected until they tell; below it one aim serves all
_LEAST_SPREAD, _MOST_SPREAD = 0.03, 0.6
_AIM = 2.05  # so many times the spread lies the aim below the budget: 73.5 % of it, and one call in 50 is above
_AIM_NOISY = 1.75  # where calls spread more than usual: enough for 95 of 100, after an estimate of the spread
_FIRST = (50e3, 1e3, 1e6**2, 1e5**2)  # ns, ns², F and c: 25 µs on two CPUs, a millisecond where they are emulated
_LEAST_PAGE_NS = 0.1
_LEAST_VARIANCE = 1e-9  # ns²: what rounding may not take away
_DRIFT = 0.08  # of the noise, per call: the steady gain of the filter
_DRIFT_FIXED = 0.15  # of that: F is a matter of the machine, c one of the memory at hand
_SLACK, _ALARM = 1.0, 3.5  # CUSUM: one call that is 4.5 sigma off, two that are 2.75 off, ...
_CHANGED_PAGE, _CHANGED_FIXED = 1.5, 0.3  # how much of an unforeseen difference each may account for
_SPREAD_CALLS = 100  # over which the spread is averaged


class Fit(NamedTuple):
    """What is known now. Replaced as one, so that any thread may ask it."""

    fixed_ns: float
    page_ns: float
    spread: float
    """Log-sigma of call durations."""
    reached: int
    """Base pages of the largest call since the cost is what it is."""
    folio_pages: int
    """Base pages of a folio where those of the last call were all alike, else 1."""
    lone: int
    """Base pages of the last call where it was for a single folio, and not an odd one; else 0."""

    def expected_ns(self, pages: int) -> float:
        """Median duration of a call for so many base pages."""
        return self.fixed_ns + self.page_ns * pages

    def pages_within(self, budget_ns: float) -> int:
        """Base pages of a call, 1 to ``MOST_PAGES``: p95 of its duration within the budget, its median well above half.

        At most twice what has been tried.
        """
        aim = budget_ns * exp(-max(_AIM * _USUAL_SPREAD, _AIM_NOISY * self.spread))
        pages = (aim - self.fixed_ns) / self.page_ns
        whole = self.folio_pages
        if whole > 1 and pages > whole:
            # Between two numbers of folios the larger, where it is still within: half a budget is a waste.
            more = -(-pages // whole) * whole
            enough = budget_ns * exp(-_AIM_NOISY * max(self.spread, _USUAL_SPREAD / 3))
            pages = more if self.expected_ns(int(more)) <= enough else more - whole
        return max(1, int(min(pages, 2 * self.reached, MOST_PAGES)))


class _State(NamedTuple):
    """Means and covariance of F and c, in ns."""

    fixed: float
    page: float
    var_fixed: float
    var_page: float
    cov: float
    reached: int

    def expected(self, pages: int) -> float:
        return self.fixed + self.page * pages

    def doubt(self, pages: int) -> float:
        """Variance of the expected duration, noise left out."""
        return max(0.0, self.var_fixed + 2 * pages * self.cov + pages * pages * self.var_page)

    def deviation(self, pages: int, call_ns: int, noise: float) -> float:
        """By how many sigmas the logarithm of a duration is off.

        :param noise: variance of that logarithm
        """
        expected = self.expected(pages)
        return log(call_ns / expected) / sqrt(self.doubt(pages) / (expected * expected) + noise)

    def shaken(self, pages: int, call_ns: int) -> _State:
        """The same after a call that it did not foresee: most likely it is c that has changed."""
        off = call_ns - self.expected(pages)
        return self._replace(
            var_fixed=self.var_fixed + (_CHANGED_FIXED * off) ** 2,
            var_page=self.var_page + (_CHANGED_PAGE * off / pages) ** 2,
            reached=0,
        )

    def learnt(self, pages: int, call_ns: int, noise: float) -> _State:
        """What to believe after one more call: a step of a Kalman filter, with F and c kept above zero."""
        expected = self.expected(pages)
        doubt = self.doubt(pages)
        # The noise grows with the duration; where that was not foreseen at all, take the one that was seen.
        scale = expected if doubt < expected * expected / 4 else call_ns
        drift = _DRIFT * _DRIFT * noise
        var_fixed = self.var_fixed + drift * (_DRIFT_FIXED * scale) ** 2
        var_page = self.var_page + drift * self.page * self.page
        to_fixed, to_page = var_fixed + pages * self.cov, self.cov + pages * var_page
        total = to_fixed + pages * to_page + noise * scale * scale
        off = (call_ns - expected) / total
        fixed, page = self.fixed + off * to_fixed, self.page + off * to_page
        var_fixed = max(_LEAST_VARIANCE, var_fixed - to_fixed * to_fixed / total)
        var_page = max(_LEAST_VARIANCE, var_page - to_page * to_page / total)
        cov = self.cov - to_fixed * to_page / total
        if fixed < 0:
            fixed, page = 0.0, page - fixed * cov / var_fixed
        if page < _LEAST_PAGE_NS:
            fixed, page = max(0.0, fixed + (_LEAST_PAGE_NS - page) * cov / var_page), _LEAST_PAGE_NS
        return _State(fixed, page, var_fixed, var_page, cov, max(self.reached, pages))


_NOTHING = _State(*_FIRST, cov=0.0, reached=0)


class CallCost:
    """Learns from one thread; ``fit`` may be read by any."""

    __slots__ = ("_above", "_before", "_below", "_calls", "_noise", "_state", "fit")

    def __init__(self) -> None:
        self.fit: Fit | None = None
        """None before the first call."""
        self._state = _NOTHING
        self._before: _State | None = None
        """What was believed until the last call, where that one overthrew it."""
        self._noise = _USUAL_SPREAD**2
        self._calls = 0
        self._above = self._below = 0.0

    def learn(self, pages: int, call_ns: int, folios: int | None = None) -> None:
        """Learn from one call.

        :param pages: base pages that it named, at least 1
        :param call_ns: its duration, at least 1
        :param folios: how many folios they make; None where nobody knows
        """
        noise = self._noise
        state, before, self._before = self._state, self._before, None
        off = state.deviation(pages, call_ns, noise)
        if before is not None:
            instead = before.deviation(pages, call_ns, noise)
            if abs(instead) < min(2.0, abs(off)):
                state, off = before, instead  # it was but one odd call
        if self._is_alarm(off):
            self._before, state = state, state.shaken(pages, call_ns)
        else:
            self._learn_noise(off)
        self._state = state = state.learnt(pages, call_ns, noise)
        alike = pages // folios if folios and pages % folios == 0 else 1
        alone = pages == 1 if folios is None else folios == 1
        lone = pages if alone and self._before is None else 0
        self.fit = Fit(state.fixed, state.page, sqrt(self._noise), state.reached, alike, lone)

    def _is_alarm(self, off: float) -> bool:
        """Whether the last calls, this one by ``off`` sigmas, are too far off to be chance."""
        self._above = max(0.0, self._above + off - _SLACK)
        self._below = max(0.0, self._below - off - _SLACK)
        if max(self._above, self._below) <= _ALARM:
            return False
        self._above = self._below = 0.0
        return True

    def _learn_noise(self, off: float) -> None:
        self._calls += 1
        gain = max(1 / _SPREAD_CALLS, 1 / (self._calls + 10))
        noise = self._noise * (1 + gain * (min(9.0, off * off) - 1))
        self._noise = min(_MOST_SPREAD**2, max(_LEAST_SPREAD**2, noise))
