"""What the selected pages are like: bound by a policy, or mapped by other processes too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.request import Request
from numamig.model.finding import Finding, Severity
from numamig.model.nodeset import format_nodeset, parse_ranges
from numamig.model.process import Process, Region, RegionPolicy
from numamig.observe.sampling import half_width
from numamig.units import format_bytes

__all__ = ["MOST_WALKED_BYTES", "Shared", "bound_nodes", "policy", "policy_not_asked", "shared_share", "sharing"]

MOST_WALKED_BYTES: Final = 1 << 30
"""Resident bytes up to which policies are asked for: 8 ms of walking over page tables, at 32 ns a page."""
_NOTEWORTHY: Final = 0.01
"""Share of shared pages from which on it is a warning: program and libraries are shared in nearly every process."""
_NAMED: Final = 3


class Shared(NamedTuple):
    """How much of what would be chosen other processes map too."""

    share: float
    """0 to 1."""
    error: float
    """Half width of its 95 % interval; 0 where every page was looked at."""


def bound_nodes(policy: str) -> tuple[int, ...] | None:
    """Nodes that "bind:0-1" or "bind=static:2" allows, ascending; None for policies that leave a choice."""
    mode, colon, nodes = policy.rpartition(":")
    if not colon or mode.partition("=")[0] != "bind":
        return None
    return tuple(parse_ranges(nodes))


def policy(
    policies: Iterable[RegionPolicy],
    selected: Sequence[tuple[Region, int, int]],
    bytes_by_range: NDArray[np.int64],
    targets: Sequence[int],
) -> Finding:
    """An error where a region with pages that are to move is bound to other nodes.

    :param bytes_by_range: what is to move of each selected range
    """
    told: Mapping[int, str] = {each.start: each.policy for each in policies}
    away: dict[Region, int] = {}
    allowed: set[int] | None = None
    for (region, _, _), count in zip(selected, bytes_by_range.tolist(), strict=True):
        nodes = bound_nodes(told.get(region.start, ""))
        if count and nodes is not None and not set(targets) <= set(nodes):
            away[region] = away.get(region, 0) + count
            allowed = set(nodes) if allowed is None else allowed & set(nodes)
    where_to = f"node{'s' if len(targets) > 1 else ''} {format_nodeset(targets)}"
    if not away:
        return Finding("policy", Severity.OK, f"no region that is meant is bound away from {where_to}")
    largest = sorted(away, key=lambda region: -away[region])[:_NAMED]
    named = ", ".join(f"0x{r.start:x}-0x{r.end:x} ({r.label}, {told[r.start]})" for r in largest)
    more = f" and {len(away) - len(largest)} more" if len(away) > len(largest) else ""
    where = f"move to node {format_nodeset(sorted(allowed))}, " if allowed else ""
    return Finding(
        "policy",
        Severity.ERROR,
        f"{format_bytes(sum(away.values()))} of what is to move are bound away from {where_to} by their memory "
        f"policy: {named}{more}",
        f"{where}choose other pages with --address or --kind, or change the policy (numactl, mbind, set_mempolicy)",
    )


def policy_not_asked(process: Process) -> Finding:
    """The process is too large for a walk over all of its page tables at every plan."""
    return Finding(
        "policy",
        Severity.WARNING,
        f"memory policies were not looked at: for {format_bytes(process.resident_bytes)} that may keep the process "
        "waiting; what is bound elsewhere would move against its policy",
        f"numamig show {process.pid} --policies looks, once: leave out what is bound with --address or --kind",
    )


def shared_share(answers: NDArray[np.int8], *, all_asked: bool) -> Shared | None:
    """From what was said of a sample; None where nothing was.

    :param answers: as of ``TellsSharing.shared_pages``
    """
    there = answers[answers >= 0]
    if not len(there):
        return None
    share = float(there.mean())
    if all_asked:
        return Shared(share, 0.0)
    return Shared(share, float(half_width(np.array([share]), np.array([len(there)], np.float64))[0]))


def sharing(shared: Shared, request: Request) -> Finding:
    """A warning where more than a trace would stay for that."""
    words = f"{_share_words(shared)} of what is to move is mapped by other processes too"
    if request.shared:
        return Finding("shared", Severity.OK, f"{words}: it is moved away from them as well")
    if shared.share < _NOTEWORTHY:
        return Finding("shared", Severity.OK, words)
    return Finding("shared", Severity.WARNING, f"{words}, and stays", "--shared moves it too, with CAP_SYS_NICE")


def _share_words(shared: Shared) -> str:
    """ "about 85 % ± 3 %"; what was found in no probe is at most its error."""
    if not shared.error:
        return _percent(shared.share) if shared.share else "nothing"
    if not shared.share:
        return f"at most {_percent(shared.error)}"
    return f"about {_percent(shared.share)} ± {_percent(shared.error)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.0995 or not share else f"{100 * share:.1f} %"
