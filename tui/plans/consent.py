"""What is asked once more before it is done: what touches others' processes, or goes on in spite of warnings."""

from __future__ import annotations

from collections.abc import Sequence

from numamig.migrate.plan import Plan
from numamig.units import format_count

__all__ = ["asked_of"]

_LEFT_ALONE = ("shared", "pages", "hinted", "balancing")
"""Warnings that force nothing: such pages stay, or the machine is as it always is."""


def asked_of(plans: Sequence[Plan]) -> str:
    """One sentence; "" where there is nothing to ask."""
    parts = [_strangers(plans), _sharers(plans), _forced(plans)]
    words = ", ".join(part for part in parts if part)
    return f"{words[0].upper()}{words[1:]}." if words else ""


def _strangers(plans: Sequence[Plan]) -> str:
    others = [plan.process for plan in plans if not plan.process.yours]
    if not others:
        return ""
    if len(others) == 1:
        return f"moves pages of {others[0].name} {others[0].pid}, which is {others[0].user}'s"
    users = sorted({process.user for process in others})
    return f"moves pages of {len(others)} processes of {' and '.join(users[:3])}{' and others' * (len(users) > 3)}"


def _sharers(plans: Sequence[Plan]) -> str:
    sharing = [plan for plan in plans if plan.request.shared and plan.shared_share != 0]
    if not sharing:
        return ""
    if any(plan.shared_share is None for plan in sharing):
        return "also moves pages that other processes map"
    pages = sum(round((plan.shared_share or 0) * plan.pages) for plan in sharing)
    return f"also moves ~{format_count(pages)} pages that other processes map"


def _forced(plans: Sequence[Plan]) -> str:
    checks = {finding.check for plan in plans for finding in plan.warnings} - set(_LEFT_ALONE)
    if not checks:
        return ""
    return f"goes on in spite of warnings: {', '.join(sorted(checks))}"
