"""The words around a page map: how exact it is, what is under the cursor, and what its glyphs mean."""

from __future__ import annotations

from textwrap import wrap

import numpy as np

from numamig.model.outcome import Outcome
from numamig.model.pageflags import PageFlag
from numamig.units import format_count
from tui.pages.mapcells import mark_of
from tui.pages.mapview import Drawn, MapView, plus_minus, region_at
from tui.style.look import Look, Spans
from tui.threads.lenses import HEAT_STEPS, LETTERS, Lens, heat_steps, mark_words, outcome_of
from tui.words.present import region_label, remote_text, size_text

__all__ = ["exactness", "foot", "legend", "readout"]

_AGED_S = 3
"""From when on it is said how long ago something was looked at."""


def exactness(look: Look, drawn: Drawn) -> str:
    """Whether what is drawn was counted, or how far off it may be: ``exact``, ``~ ±12%``."""
    error = drawn.page_map.error
    if error is None or not drawn.page_map.estimated:
        return "exact"
    read = error if drawn.page_map.read is None else error[drawn.page_map.read]
    return f"{look.glyphs.unread} {plus_minus(look)}{100 * float(read.max(initial=0.0)):.0f}%"


def foot(look: Look, view: MapView, width: int) -> tuple[Spans, Spans]:
    """Readout and legend; where the lens has nothing to show, the reason takes as much of them as it needs."""
    if view.lens is Lens.HEAT and view.data.heat is None and view.data.missing:
        words = look.shown(view.data.missing)
        lines = [*wrap(words, width - 2, max_lines=2, placeholder=look.glyphs.ellipsis), ""]
        if lines[1]:
            return [(f" {lines[0]}", look.label)], [(f" {lines[1]}", look.label)]
    return readout(look, view), legend(look, view)


def readout(look: Look, view: MapView) -> Spans:
    """What is under the cursor, in full."""
    address = view.cursor
    if address is None:
        return []
    dot = f" {look.glyphs.dot} "
    region = region_at(view.regions, address, address + view.layout.bucket_bytes)
    spans: Spans = [(f"{look.glyphs.point} {address:x}", look.bold)]
    if region is not None and address > region.start:
        spans.append((f" +{size_text(address - region.start)}", look.plain))
    parts, huge = view.counts([(address, 1)])
    about, error = ("", "") if view.drawn is None else view.drawn.doubt(look, address)
    for node, count in sorted(parts.items()):
        spans += [
            (" ", look.plain),
            look.chip(node) if node >= 0 else (" ? ", look.dim),
            (f" {about}{format_count(count)}", look.plain),
        ]
    words = "page" if sum(parts.values()) == 1 else "pages"
    spans.append((f" {words}{error}" if parts else f" no pages{error}", look.plain))
    if huge:
        spans.append((f"{dot}{format_count(huge)} huge", look.plain))
    if parts:
        spans += [(f"{dot}{text}", look.plain) for text in _of_lens(view, address)]
    if region is not None:
        spans.append((dot + region_label(region, only_ascii=look.ascii), look.label))
    if (age := _read_ago(view)) is not None and age >= _AGED_S:
        spans.append((f"{dot}read {age} s ago", look.label))
    return spans


def _read_ago(view: MapView) -> int | None:
    """For how many seconds what the lens shows has been known; None where it shows what the map itself does."""
    if view.data.read_s is None or view.lens in (Lens.HOME, Lens.NODE):
        return None
    return max(0, int(view.now_s - view.data.read_s))


def _of_lens(view: MapView, address: int) -> list[str]:
    """What else is known of the bucket at an address."""
    data, drawn, size = view.data, view.drawn, view.layout.bucket_bytes
    where = drawn.span(address, 1) if drawn is not None else None
    if drawn is None or where is None:
        return []
    texts = []
    if data.flags is not None:
        shares = data.flags.for_grid(drawn.page_map.grid).of(where.start)
        shares.pop(PageFlag.HUGE, None)  # that is counted, and said before
        if size == view.page_size:
            texts += [" ".join(flag.word for flag in shares)] if shares else []
        else:
            texts += [
                flag.word if share == 1 else f"{flag.word} {remote_text(round(share * 10_000), 10_000)}"
                for flag, share in shares.items()
            ]
    if data.heat is not None:
        step = int(heat_steps(data.heat.for_grid(drawn.page_map.grid)[where])[0])
        texts += [f"heat ~{step - 1}/{HEAT_STEPS - 1}"] if step else ["heat not known"]
    if view.lens is Lens.STAY and data.stayed is not None:
        stayed = data.stayed.pages_of(address, address + size, view.page_size)
        texts[:0] = [f"{format_count(pages)} stayed: {_why(outcome)}" for outcome, pages in stayed.items()]
    return texts


def _why(outcome: Outcome) -> str:
    """The word first: there may be no room for more."""
    return f"{outcome.words} ({outcome.reason})" if outcome.reason else outcome.words


def legend(look: Look, view: MapView) -> Spans:
    """What the glyphs mean that the lens shows."""
    if view.lens is Lens.HEAT:
        spans = _heat_legend(look, view)
    else:
        spans = [(" ", look.plain), *_node_legend(look, view)]
        if view.lens in (Lens.HOME, Lens.NODE):
            spans += _mixed_legend(look, view)
        spans.append((f" {look.glyphs.absent} none ", look.label))
    if view.next_batch[1]:
        spans += [(" ", look.plain), ("00", look.underline), (" next batch ", look.label)]
    if view.marked:
        spans += [(f" {look.glyphs.mark}", look.plain), (" marked", look.label)]
    spans += _mark_legend(look, view)
    if view.data.missing:
        spans.append((f" {look.shown(view.data.missing)}", look.label))
    return spans


def _node_legend(look: Look, view: MapView) -> Spans:
    nodes = view.drawn.page_map.nodes if view.drawn is not None else ()
    spans: Spans = []
    for node in nodes[:8]:
        home = node in view.tint
        digit, style = look.pure(node, home=home, named=True, spot=view.spot)
        ground, _ = look.pure(node, home=home, named=False, spot=view.spot)
        spans += [(digit + ground, style), (" home " if home and view.lens is Lens.HOME else " ", look.label)]
    return spans


def _mixed_legend(look: Look, view: MapView) -> Spans:
    nodes = view.drawn.page_map.nodes if view.drawn is not None else ()
    if look.mono or len(nodes) < 2:
        return []
    pair = [node for node in nodes if node not in view.tint][:1] + [node for node in nodes if node in view.tint][:1]
    first, second = pair if len(pair) == 2 else nodes[:2]
    samples = [look.mixed(first, second, much=much, home=(False, second in view.tint)) for much in (False, True)]
    return [*samples, (" mixed ", look.label)]


def _mark_legend(look: Look, view: MapView) -> Spans:
    """The letters that are in the picture: what jobs met with first, then what is known by looking."""
    if view.drawn is None:
        return []
    there = sorted({mark_of(code) for code in np.unique(view.drawn.cells).tolist()} - {0})
    met = [mark for mark in there if outcome_of(mark) is not None]
    known = [mark for mark in there if mark not in met]
    spans: Spans = []
    for mark in (*met, *(() if met else known)):
        spans += [(f" {LETTERS[mark]}", look.bold), (f" {mark_words(mark)}", look.label)]
    if met and view.data.stayed is not None:
        spans.append((f" left by job {','.join(map(str, view.data.stayed.jobs[-3:]))}", look.label))
        if known:  # their letters are those of all lenses
            spans.append((f"  {' '.join(LETTERS[mark] for mark in known)}", look.bold))
    elif known and view.data.flags is not None and not view.data.flags.whole.all():
        spans.append((" (of some pages)", look.label))
    if view.lens is Lens.STAY and known:
        spans.append((" would stay", look.label))
    elif not there and not view.data.missing and view.lens in (Lens.STAY, Lens.KIND):
        nothing = "nothing is known to stay" if view.lens is Lens.STAY else "plain memory of its own"
        spans.append((f" {nothing}", look.label))
    return spans


def _heat_legend(look: Look, view: MapView) -> Spans:
    if view.data.heat is None:
        return [] if view.data.missing else [(f" {look.glyphs.unread}", look.dim), (" not known yet", look.label)]
    spans: Spans = [(" touched in ", look.label)]
    nodes = view.drawn.page_map.nodes if view.drawn is not None else (0,)
    for step, words in zip(range(1, HEAT_STEPS + 1), ("no", "<1/4", "<1/2", "<3/4", "most"), strict=True):
        glyph, style = look.warm(step, nodes[0], named=False)
        spans += [(glyph * 2, style), (f" {words} ", look.label)]
    spans += [("samples ", look.label), (look.glyphs.unread, look.dim), (" not known ", look.label)]
    return spans
