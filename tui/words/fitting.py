"""Words in so many cells."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

__all__ = ["fit"]


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…", keep_end: bool = False) -> str:
    """Exactly ``width`` cells of ``text``: padded, or cut with an ellipsis (at the front with ``keep_end``)."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length <= width:
        pad = " " * (width - length)
        return pad + text if right else text + pad
    if keep_end:
        tail = text
        while cell_len(tail) > width - 1:
            tail = tail[1:]
        return fit(ellipsis + tail, width)
    return set_cell_size(text, width - 1) + ellipsis
