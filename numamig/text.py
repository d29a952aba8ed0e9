"""Text from strangers, made safe to show: a process chooses its name, and must not be able to steer a terminal."""

from __future__ import annotations

import unicodedata

__all__ = ["plain"]

_CONTROL_PICTURES = 0x2400
# Letters by their category, but without a glyph or a place of their own: fillers, and vowels and finals of Hangul.
_INVISIBLE = frozenset({0x115F, 0x3164, 0xFFA0, 0x2800, *range(0x1160, 0x1200), *range(0xD7B0, 0xD800)})


def plain(text: str, *, only_ascii: bool = False) -> str:
    """``text`` with everything that does not simply take its place in a line written out; nothing is left out.

    Control characters would steer the terminal, marks of direction and of no width would let one name pass for
    another, combining marks would pile up. Control characters become their pictures (``␛``, ``␊``), all others
    escapes as in Python (``\\u202e``).
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character, only_ascii) for character in unicodedata.normalize("NFC", text))


def _visible(character: str, only_ascii: bool) -> str:
    code = ord(character)
    if 0x20 <= code < 0x7F:
        return character
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    if not only_ascii:
        if code < 0x20:
            return chr(_CONTROL_PICTURES + code)
        if code == 0x7F:
            return "␡"
        if code == 0xA0:
            return " "
        if unicodedata.category(character)[0] in "LNPS" and code not in _INVISIBLE:
            return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
