"""Glyphs and ramps as plain values: what stands for "mixed", how a bar divides its cells, how colours blend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "ASCII",
    "DARK_INK",
    "HEAT_COLOURS",
    "UNICODE",
    "Glyphs",
    "apportion",
    "blend",
    "contrast",
    "digit",
    "meter",
    "spark_rows",
]


DARK_INK = "#0d0f18"
HEAT_COLOURS = (
    ("#00224e", "#c9ced8"),
    ("#434e6c", "#e6e9ef"),
    ("#7d7c78", DARK_INK),
    ("#bcae6c", DARK_INK),
    ("#fee838", DARK_INK),
)
"""Ground and ink by step of heat: cividis, which looks alike to all eyes. The one use of colour that means no node."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Every glyph that is not a letter, a digit or plain punctuation."""

    hatch: str
    """Ground of nodes 0 to 7 where there is no colour."""
    mixed: str
    """A second node holds less, or more, than a quarter of a cell."""
    absent: str
    unread: str
    heat: str
    """Steps of heat, where that has no colours; the first is for pages that nobody touches."""
    far: str
    """Steps of a distance, where that has no greys."""
    full: str
    eighths: str
    """Steps of a horizontal bar, the empty one first."""
    sparks: str
    """Steps of a vertical bar, the empty one first."""
    done: str
    rest: str
    lower: str
    mark: str
    focus: str
    point: str
    pressure: str
    running: str
    held: str
    ended: str
    cancelled: str
    stopped: str
    ok: str
    warning: str
    error: str
    arrow: str
    downward: str
    """Of a column by which rows are sorted: the most comes first."""
    upward: str
    dot: str
    ellipsis: str
    slashes: str
    times: str


UNICODE = Glyphs(
    hatch="░╱▒╳▚▞▤▦",
    mixed="░▒",
    absent="·",
    unread="~",
    heat="·░▒▓█",
    far="░▒▓█",
    full="█",
    eighths=" ▏▎▍▌▋▊▉█",
    sparks=" ▁▂▃▄▅▆▇█",
    done="━",
    rest="─",
    lower="▄",
    mark="●",
    focus="▌",
    point="◆",
    pressure="▲",
    running="▶",
    held="‖",
    ended="✓",
    cancelled="✗",
    stopped="!",
    ok="✓",
    warning="▲",
    error="✗",
    arrow="→",
    downward="▾",
    upward="▴",
    dot="·",
    ellipsis="…",
    slashes="╱╱",
    times="×",
)
ASCII = Glyphs(
    hatch=":/=#+\\%*",
    mixed=":%",
    absent=".",
    unread="~",
    heat=".-+*#",
    far=".:*#",
    full="#",
    eighths="  ..--##",
    sparks=" ..:-=+*#",
    done="=",
    rest="-",
    lower="_",
    mark="*",
    focus=">",
    point="@",
    pressure="^",
    running=">",
    held="|",
    ended="+",
    cancelled="x",
    stopped="!",
    ok="+",
    warning="!",
    error="x",
    arrow=">",
    downward="v",
    upward="^",
    dot="-",
    ellipsis="~",
    slashes="//",
    times="x",
)


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def digit(node: int) -> str:
    """One cell that names a node: ids from 10 on are letters, and what has no letter is ``+``."""
    return _DIGITS[node] if 0 <= node < len(_DIGITS) else "+" if node >= 0 else "?"


def blend(colour: str, ground: str, share: float) -> str:
    """``share`` of ``colour`` on ``ground``, all three as ``#rrggbb``."""
    a, b = (tuple(int(text[i : i + 2], 16) for i in (1, 3, 5)) for text in (colour, ground))
    return "#" + "".join(f"{round(y + (x - y) * share):02x}" for x, y in zip(a, b, strict=True))


def contrast(a: str, b: str) -> float:
    """Ratio of the luminances of two colours, 1 to 21. Source: WCAG 2.2, "contrast ratio"."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def apportion(parts: Mapping[int, int], width: int) -> list[int]:
    """The key that each of ``width`` cells shows, in the order of the keys.

    Largest remainder, but nothing that exists is left without a cell while there are cells to take from.
    """
    present = [(key, size) for key, size in sorted(parts.items()) if size > 0]
    total = sum(size for _, size in present)
    if not total or width <= 0:
        return []
    present = sorted(sorted(present, key=lambda part: -part[1])[:width])
    exact = [size * width / total for _, size in present]
    cells = [max(1, int(share)) for share in exact]
    while sum(cells) > width:
        fattest = max(range(len(cells)), key=lambda i: (cells[i] > 1, cells[i] - exact[i]))
        cells[fattest] -= 1
    while sum(cells) < width:
        cells[max(range(len(cells)), key=lambda i: exact[i] - cells[i])] += 1
    return [key for (key, _), count in zip(present, cells, strict=True) for _ in range(count)]


def meter(share: float, width: int, glyphs: Glyphs) -> tuple[str, str]:
    """A bar filled to ``share``: what is filled, and the rest. A trace shows."""
    steps = len(glyphs.eighths) - 1
    filled = min(width * steps, max(1 if share > 0 else 0, round(share * width * steps)))
    whole, part = divmod(filled, steps)
    bar = glyphs.full * whole + (glyphs.eighths[part] if part else "")
    return bar, glyphs.absent * (width - len(bar))


def spark_rows(values: Sequence[float], rows: int, top: float, glyphs: Glyphs) -> list[str]:
    """Columns of a plot as ``rows`` lines, the highest first; ``top`` is the value of a full column."""
    steps = len(glyphs.sparks) - 1
    heights = [min(rows * steps, max(1, round(value / top * rows * steps))) if top > 0 else 1 for value in values]
    return [
        "".join(glyphs.sparks[min(steps, max(0, height - row * steps))] for height in heights)
        for row in reversed(range(rows))
    ]
