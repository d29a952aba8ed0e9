"""What a plan dialog can do about a finding itself: the same settings, changed so that it does not stand any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numamig.migrate.destination import Node
from numamig.migrate.plan import Plan
from numamig.migrate.request import MOST_CALLS
from numamig.model.topology import Topology
from tui.plans.fields import BUDGETS, beside
from tui.plans.form import Form
from tui.words.present import short_size

__all__ = ["Fix", "fix_for"]

_FEW_CALLS, _LARGE_BATCH = 10, 4096


@dataclass(frozen=True, slots=True)
class Fix:
    """Other settings, and what they do in a few words."""

    words: str
    form: Form


def fix_for(check: str, form: Form, plans: Sequence[Plan], topology: Topology) -> Fix | None:
    """None where it takes somebody to do something outside of here, or was done already."""
    fix = {
        "shared": _move_shared,
        "critical": _also_critical,
        "budget": _larger_budget,
        "isolated": _fewer_calls,
    }.get(check)
    found: Fix | None = None
    if fix is not None:
        found = fix(form)
    elif check == "room":
        found = _what_fits(form, plans, topology)
    elif check in ("cpuset", "policy", "hugetlb", "thp"):
        found = _elsewhere(form, topology)
    return None if found is None or found.form == form else found


def _move_shared(form: Form) -> Fix:
    return Fix("moves them too", replace(form, shared=True))


def _also_critical(form: Form) -> Fix:
    return Fix("moves it all the same", replace(form, critical=True))


def _larger_budget(form: Form) -> Fix:
    return Fix("takes the next larger budget", replace(form, budget_ns=beside(BUDGETS, form.budget_ns, 1)))


def _fewer_calls(form: Form) -> Fix:
    words = f"makes {_FEW_CALLS} calls a second at most, of {_LARGE_BATCH:,} pages"
    calls = min(form.most_calls or MOST_CALLS, _FEW_CALLS)
    return Fix(words, replace(form, most_calls=calls, batch_pages=max(form.batch_pages, _LARGE_BATCH)))


def _what_fits(form: Form, plans: Sequence[Plan], topology: Topology) -> Fix | None:
    """Only what there is room for, where all goes to one node and some of it fits; else where there is most room."""
    if isinstance(form.to, Node) and len(plans) == 1:
        node = topology.node(form.to.node)
        room = 0 if node is None else max(0, node.free_bytes - plans[0].reserve_bytes)
        pages = room // form.page_size
        if pages and (form.most_pages is None or pages < form.most_pages):
            return Fix(f"moves only the {short_size(pages * form.page_size)} that fit", replace(form, most_pages=pages))
    return _elsewhere(form, topology)


def _elsewhere(form: Form, topology: Topology) -> Fix | None:
    """The other node that has most free memory."""
    others = [node for node in topology.nodes if node.has_memory and node.id not in form.filled]
    others = [node for node in others if form.sources is None or node.id not in form.sources]
    if not others or not form.filled:
        return None
    roomy = max(others, key=lambda node: (node.free_bytes, -node.id))
    return Fix(f"goes to node {roomy.id}, which has {short_size(roomy.free_bytes)} free", form.with_target(roomy.id))
