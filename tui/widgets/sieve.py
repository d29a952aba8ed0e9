"""What is typed into the filter of processes: words, and conditions like ``user=web node=2 remote>50% rss>1G``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from numamig.errors import UsageError
from numamig.units import parse_size
from tui.threads.snapshots import ProcessSeen

__all__ = ["Sieve", "sieve"]

_CONDITION = re.compile(r"(user|name|pid|node|on|remote|rss)(>=|<=|>|<|=)(.*)", re.IGNORECASE)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq,
}  # fmt: skip
_HELP = {
    "remote": "a share: remote>50%",
    "rss": "a size: rss>1G",
    "node": "a node: node=2",
    "on": "a node: on=1",
    "pid": "a number: pid=4711",
}
_Test = Callable[[ProcessSeen], bool]


class Sieve(NamedTuple):
    """A filter that was understood, or why not."""

    tests: tuple[_Test, ...] = ()
    problem: str = ""
    """One line; nothing is left out then."""

    def lets_through(self, row: ProcessSeen) -> bool:
        return all(test(row) for test in self.tests)


def sieve(text: str) -> Sieve:
    """Every word and every condition has to be met. Words are looked for in name, pid and user."""
    tests: list[_Test] = []
    for word in text.split():
        condition = _CONDITION.fullmatch(word)
        if condition is None:
            tests.append(_has(word.lower()))
            continue
        field, sign, value = condition[1].lower(), condition[2], condition[3]
        test = _test(field, sign, value)
        if test is None:
            return Sieve(problem=f"{field} takes {_HELP.get(field, f'=: {field}=db')}")
        tests.append(test)
    return Sieve(tuple(tests))


def _has(word: str) -> _Test:
    def test(row: ProcessSeen) -> bool:
        process = row.process
        return any(word in text.lower() for text in (process.name, str(process.pid), process.user))

    return test


def _test(field: str, sign: str, value: str) -> _Test | None:
    """None where the value is not one that the field can have."""
    if field in ("user", "name"):
        if sign != "=" or not value:
            return None
        return lambda row: (row.process.user if field == "user" else row.process.name).lower() == value.lower()
    if field in ("node", "on"):
        if sign != "=" or not value.isdecimal():
            return None
        node = int(value)
        if field == "on":
            return lambda row: node in row.home
        return lambda row: row.placement is not None and bool(row.placement.bytes_by_node.get(node))
    compare, wanted = _COMPARE[sign], _number(field, value)
    if wanted is None:
        return None
    return lambda row: (has := _figure(field, row)) is not None and compare(has, wanted)


def _number(field: str, value: str) -> float | None:
    if field == "rss":
        try:
            return float(parse_size(value))
        except UsageError:
            return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", value)
    return float(match[1]) if match is not None and not (field == "pid" and match[2]) else None


def _figure(field: str, row: ProcessSeen) -> float | None:
    """None where there is none, which meets no condition."""
    if field == "pid":
        return row.process.pid
    if field == "rss":
        return row.process.resident_bytes
    total = row.placement.total_bytes if row.placement is not None else 0
    return 100 * row.remote_bytes / total if row.remote_bytes is not None and total else None
