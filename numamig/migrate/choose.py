"""What chooses the batches of a pass: by address or in another order, and no more than was asked for."""

from __future__ import annotations

from numamig.backends.base import Backend, Hold
from numamig.migrate.batch import Batch
from numamig.migrate.chooser import Chooses, Place, choose_by_address
from numamig.migrate.ledger import Settled
from numamig.migrate.order import ordered_chooser
from numamig.migrate.order_mode import OrderMode
from numamig.migrate.plan import Plan
from numamig.model.pages import Ranges

__all__ = ["choose_by_plan"]


def choose_by_plan(backend: Backend, hold: Hold, plan: Plan, ranges: Ranges | None) -> Chooses:
    """Chooses from the pages as they are, those that the plan's request means, in its order.

    :param ranges: only there; None: wherever the plan says
    """
    request = plan.request
    if request.order.mode is OrderMode.ADDRESS:
        chooser: Chooses = choose_by_address(backend, hold, plan, ranges)
    else:
        chooser = ordered_chooser(backend, hold, plan, ranges, request.order.mode, request.order.seed)
    return chooser if request.most_pages is None else _AtMost(chooser, request.most_pages, plan.page_size)


class _AtMost:
    """Ends when so many pages were chosen."""

    def __init__(self, chooser: Chooses, pages: int, page_size: int) -> None:
        self._chooser = chooser
        self._page_size = page_size
        self._left = pages
        self._before = (chooser.place, pages)
        """Place and pages left before the last batch: whoever chooses ahead may set it back there."""

    @property
    def place(self) -> Place:
        place = self._chooser.place
        return place if self._left > 0 else place._replace(exhausted=True)

    @place.setter
    def place(self, place: Place) -> None:
        if place == self._before[0]:
            self._left = self._before[1]
        self._chooser.place = place

    @property
    def passed(self) -> Settled | None:
        return self._chooser.passed

    @passed.setter
    def passed(self, passed: Settled | None) -> None:
        self._chooser.passed = passed

    @property
    def remaining(self) -> Ranges:
        return self._chooser.remaining if self._left > 0 else []

    def next_batch(self, most_pages: int) -> Batch:
        """As ``Chooses.next_batch``; a folio that reaches beyond the limit is the last one."""
        self._before = (self._chooser.place, self._left)
        batch = self._chooser.next_batch(min(most_pages, self._left))
        self._left -= batch.pages(self._page_size)
        return batch
