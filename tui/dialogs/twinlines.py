"""What a rehearsal came to, beside the plan: what became of the pages, how long it took, and who waited."""

from __future__ import annotations

from numamig.model.outcome import OutcomeCounts
from numamig.units import format_count
from tui.style.look import Look, Spans
from tui.threads.rehearsing import Rehearsal
from tui.words.present import duration_text, size_text

__all__ = ["twin_lines"]


def twin_lines(look: Look, rehearsal: Rehearsal | None, width: int) -> list[Spans]:
    """Two lines; none where nothing is rehearsed."""
    if rehearsal is None:
        return []
    label, dot = (f" {'Twin':<10}", look.label), f" {look.glyphs.dot} "
    if not rehearsal.ended:
        words = f"rehearsing {rehearsal.progress * 100:.0f}%"
        return [
            [
                label,
                (words, look.bold),
                (f"{dot}nothing moves here", look.label),
                ("   esc", look.bold),
                (" leaves it", look.label),
            ]
        ]
    if rehearsal.problem:
        words = f"{look.glyphs.error} {look.shown(rehearsal.problem)}"
        return [[label, (look.fit(words, width - 11).rstrip(), look.bold)]]
    outcomes = sum((job.outcomes for job in rehearsal.jobs), OutcomeCounts())
    page = rehearsal.jobs[0].plan.page_size if rehearsal.jobs else 0
    texts = [
        f"{outcome.words} {pages:,} = {size_text(pages * page)}"
        if not number
        else f"{outcome.words} {format_count(pages)}"
        for number, (outcome, pages) in enumerate((o, n) for o, n in outcomes.items() if n)
    ]
    took = f"took {duration_text(rehearsal.elapsed_ns)} in {sum(job.steps for job in rehearsal.jobs):,} steps"
    if rehearsal.stall_ns is not None:
        took += f"{dot}a thread waits up to ~{duration_text(rehearsal.stall_ns)}"
    return [
        [label, (look.fit(dot.join(texts) or "moved nothing", width - 11).rstrip(), look.bold)],
        [(" " * 11, look.plain), (took, look.plain)],
    ]
