"""Letters for what became of pages."""

from __future__ import annotations

from numamig.model.outcome import Outcome

__all__ = ["OUTCOME_GLYPHS"]

OUTCOME_GLYPHS = {
    Outcome.ALREADY_THERE: "=",
    Outcome.BUSY: "B",
    Outcome.SHARED: "S",
    Outcome.ABSENT: "A",
    Outcome.UNMAPPED: "U",
    Outcome.HINTED: "H",
    Outcome.NO_ROOM: "N",
    Outcome.REFUSED: "R",
    Outcome.GONE: "G",
}
"""Moved is drawn full, not tried as absent."""
