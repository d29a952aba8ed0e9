"""One ordered stream of events, for whoever wants to follow: the console, a progress bar, a test."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from numamig.model.events import Event

__all__ = ["EventStream", "Follower"]

_KEPT = 4096


class Follower:
    """One who follows. What is not asked for in time is dropped, the oldest first, and counted."""

    def __init__(self) -> None:
        self._news: deque[tuple[int, Event]] = deque(maxlen=_KEPT)
        self.next = 0
        """Serial number of the event that will be told next, if none was dropped."""
        self.missed = 0
        """Events that were dropped."""

    def tell(self, serial: int, event: Event) -> None:
        self._news.append((serial, event))

    def news(self) -> list[Event]:
        """What happened since it was last asked, in order."""
        told: list[Event] = []
        while self._news:
            serial, event = self._news.popleft()
            self.missed += serial - self.next
            self.next = serial + 1
            told.append(event)
        return told


class EventStream:
    """Everybody who follows is told the same, in the same order. May be published to from any thread."""

    def __init__(self) -> None:
        self._followers: list[Follower] = []
        self._serial = 0
        self._lock = threading.Lock()

    def follow(self) -> Follower:
        """From now on."""
        with self._lock:
            follower = Follower()
            follower.next = self._serial
            self._followers.append(follower)
        return follower

    def publish(self, events: Iterable[Event]) -> None:
        """Events that happened one after the other: nobody else's come between them."""
        with self._lock:
            for event in events:
                for follower in self._followers:
                    follower.tell(self._serial, event)
                self._serial += 1
