"""YAML's events put together to nodes: what was read once, to be looked at, need not be read again."""

from __future__ import annotations

from collections.abc import Sequence

import yaml
from yaml.composer import Composer
from yaml.resolver import Resolver

__all__ = ["nodes_of"]


class _Again(Composer, Resolver):
    """PyYAML's composer, on events that are there already."""

    def __init__(self, events: Sequence[yaml.Event]) -> None:
        Composer.__init__(self)
        Resolver.__init__(self)
        self._events = events
        self._at = 0

    def peek_event(self) -> yaml.Event:
        return self._events[self._at]

    def get_event(self) -> yaml.Event:
        self._at += 1
        return self._events[self._at - 1]

    def check_event(self, *choices: type[yaml.Event]) -> bool:
        return isinstance(self._events[self._at], choices) if choices else True


def nodes_of(events: Sequence[yaml.Event]) -> yaml.Node | None:
    """The nodes of a whole stream, as ``yaml.compose`` gives them; None where it has no document.

    :raises yaml.MarkedYAMLError: it has more than one.
    """
    return _Again(events).get_single_node()
