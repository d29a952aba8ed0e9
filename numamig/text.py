"""Text from strangers, made safe to show: a process chooses its name, and must not be able to steer a terminal."""

from __future__ import annotations

import unicodedata

__all__ = ["plain"]

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: str) -> str:
    """``text`` with every character that could move the cursor, change colours or turn the line around made visible.

    Control characters become their pictures (``␛``, ``␊``), other unsafe ones ``�``. Nothing is left out.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return "�" if unicodedata.category(character) in _UNSAFE else character
