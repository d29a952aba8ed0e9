"""In place of a hold where there was nothing left to hold on to."""

from __future__ import annotations

from collections.abc import Iterator

from numamig.errors import TargetGone
from numamig.model.pages import PageRuns, Ranges

__all__ = ["Lost"]


class Lost:
    """Implements ``numamig.backends.base.Hold``: says at every turn that the process is gone."""

    def __init__(self, why: TargetGone) -> None:
        self._why = why

    def check(self) -> None:
        raise self._why

    def page_runs(self, ranges: Ranges) -> Iterator[PageRuns]:
        raise self._why

    def close(self) -> None:
        """There is nothing to let go of."""
