"""A field of a dialog as a line: stepped, or with room for what is typed."""

from __future__ import annotations

from numamig.migrate.destination import Node
from tui.plans.fields import FIELDS
from tui.plans.form import Form
from tui.style.look import Look, Spans

__all__ = ["ENTRY", "field_line"]

ENTRY = 24
"""Cells of the line that is typed."""


def field_line(look: Look, form: Form, number: int, *, here: bool, typing: bool = False, wrong: str = "") -> Spans:
    """A stepper: its name and its value, with signs at the sides where there are others.

    :param typing: the line that is typed lies over the value
    :param wrong: with what was typed
    """
    name = form.fields[number]
    before, after = form.ends(name)
    spans: Spans = [
        (look.glyphs.focus if here else " ", look.bold),
        (f"{name:<8}", look.bold if here else look.label),
        ("< " if before and here and not typing else "  ", look.bold),
    ]
    if typing:
        words = f"{look.glyphs.error} {look.shown(wrong)}" if wrong else FIELDS[name].example
        return [*spans, (" " * (ENTRY + 1), look.plain), (words, look.bold if wrong else look.label)]
    if name == "To" and isinstance(form.to, Node):
        spans += [("node ", look.plain), look.chip(form.to.node)]
    else:
        spans.append((form.value(name), look.bold if here else look.plain))
    spans.append((" >" if after and here else "", look.bold))
    return [*spans, (f"   enter: {FIELDS[name].example}", look.label)] if here else spans
