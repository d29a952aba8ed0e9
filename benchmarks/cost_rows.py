"""Published figures of page migration that the simulator's cost model is fitted to, and those it is held against.

Fitted are the figures that the model was asked to meet, and two more (8 and 64 huge pages a call), without which its
settling could not be told. Everything else is held out: no value of it enters the fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["GIGABYTE", "ROWS", "Quantity", "Row"]

KIB, MIB = 1 << 10, 1 << 20
GIGABYTE = 1 << 30
"""What the sources move when they say 1 GB."""

_V2 = "RFC V2, 2025-03, Linux 6.14, patched"
_V3 = "RFC V3, 2025-09, Linux 6.16"
_V4 = "RFC V4, 2026-03, Linux 7.0"
_V5 = "RFC V5, 2026-05, Linux 7.1"
_FLUSH = "commit 7e12beb8ca2a, Linux 6.3"


class Quantity(StrEnum):
    """What a figure says about a call."""

    RATE = "GB/s"
    """10^9 bytes a second."""
    SHARE = "copying / call"
    DRAIN = "fixed us"
    """What a call costs before it moves anything."""
    SPEEDUP = "6.12 / 6.1"
    """Pages a second with a flush per batch, over those with a flush per folio."""
    INTERRUPTS = "fewer IPIs"
    """Part of the IPIs that batches save."""


@dataclass(frozen=True, slots=True)
class Row:
    """One published figure."""

    quantity: Quantity
    folio_bytes: int
    folios: int
    measured: float
    source: str
    spread: float = 0.0
    """Standard deviation, 0 where none is given."""
    copy_threads: int = 1
    cpus: int | None = None
    victim_cpus: int = 0
    tolerance: float = 0.0
    """Relative; what weighs it in the fit. 0 is held out."""
    at_most: bool = False
    """The figure is a bound from above."""

    @property
    def single_thread(self) -> bool:
        return self.quantity is Quantity.RATE and self.copy_threads == 1


_COLUMNS = {
    "4K": 4 * KIB,
    "16K": 16 * KIB,
    "32K": 32 * KIB,
    "64K": 64 * KIB,
    "128K": 128 * KIB,
    "256K": 256 * KIB,
    "512K": 512 * KIB,
    "1M": MIB,
    "2M": 2 * MIB,
}
_BY_SIZE = {
    (_V3, 1, ""): "4K 3.73±0.33 16K 5.53±0.36 64K 5.90±0.56 128K 6.34±0.08 256K 6.50±0.05 512K 6.86±0.61 1M 6.92±0.71"
    " 2M 10.67±0.36",
    (_V4, 1, ""): "4K 3.55±0.19 16K 5.66±0.30 64K 6.16±0.09 256K 7.12±0.83 1M 6.93±0.09 2M 10.88±0.19",
    (_V5, 1, ""): "4K 3.31±0.18 16K 5.61±0.07 64K 6.66±0.03 256K 7.01±0.03 1M 7.13±0.08 2M 11.02±0.17",
    (_V3, 2, "mtcopy"): "4K 4.04±0.19 16K 6.72±0.38 64K 7.68±0.12 128K 8.15±0.06 256K 8.45±0.09 512K 9.29±0.17"
    " 1M 9.87±1.01 2M 17.80±0.12",
    (_V3, 4, "mtcopy"): "4K 4.72±0.21 16K 8.41±0.70 64K 10.08±1.67 128K 11.44±2.42 256K 10.45±0.17 512K 12.60±1.97"
    " 1M 12.38±1.73 2M 31.41±1.14",
    (_V3, 8, "mtcopy"): "4K 4.91±0.28 16K 8.62±0.13 64K 10.40±0.20 128K 13.94±3.75 256K 11.03±0.61 512K 14.96±3.29"
    " 1M 12.84±0.63 2M 33.50±3.29",
    (_V3, 12, "mtcopy"): "4K 4.84±0.24 16K 8.75±0.08 64K 10.16±0.26 128K 10.92±0.22 256K 11.72±0.14 512K 14.02±2.51"
    " 1M 14.09±2.65 2M 34.70±2.38",
    (_V3, 16, "mtcopy"): "4K 4.77±0.22 16K 8.95±0.69 64K 10.36±0.26 128K 11.03±0.22 256K 11.58±0.30 512K 13.88±2.71"
    " 1M 13.00±0.75 2M 35.89±2.07",
}
"""1 GB by folio size; by source, copy threads and path."""
_BY_COUNT = {
    _V3: "1 7.96±2.22 8 8.20±0.75 16 7.54±0.61 32 8.68±0.77 64 9.08±1.03 256 10.53±0.39 512 10.59±0.29 2048 10.86±0.26"
    " 8192 10.84±0.18",
    _V2: "1 7.56±3.23 8 9.54±1.34 64 9.57±0.39 256 10.09±0.17 512 10.61±0.17 1024 10.77±0.07 2048 10.81±0.08"
    " 8192 10.84±0.05",
}
"""2 MiB folios by how many a call moves, one thread."""
_RATE = 0.04
"""All rates weigh alike in the fit; the other figures by how loosely they are given."""
_ASKED = {"4K", "64K", "512K", "2M"}
_FITTED_COUNTS = {1, 8, 64, 512}


def _pairs(text: str) -> Iterator[tuple[str, float, float]]:
    words = text.split()
    for key, figure in zip(words[::2], words[1::2], strict=True):
        measured, _, spread = figure.partition("±")
        yield key, float(measured), float(spread)


def _rows() -> Iterator[Row]:
    for (source, threads, path), text in _BY_SIZE.items():
        for size, measured, spread in _pairs(text):
            asked = source == _V3 and ((threads == 1 and size in _ASKED) or (threads == 16 and size in {"4K", "2M"}))
            yield Row(
                Quantity.RATE,
                _COLUMNS[size],
                GIGABYTE // _COLUMNS[size],
                measured,
                f"{source}, {path}" if path else source,
                spread,
                copy_threads=threads,
                tolerance=_RATE if asked else 0.0,
            )
    for source, text in _BY_COUNT.items():
        for count, measured, spread in _pairs(text):
            tolerance = _RATE if source == _V3 and int(count) in _FITTED_COUNTS else 0.0
            yield Row(Quantity.RATE, 2 * MIB, int(count), measured, source, spread, tolerance=tolerance)
    yield Row(Quantity.SHARE, 4 * KIB, 1, 0.01, _V3, at_most=True)
    yield Row(Quantity.SHARE, 4 * KIB, 512, 0.35, _V3, tolerance=0.15)
    yield Row(Quantity.SHARE, 2 * MIB, 1, 0.66, _V3, tolerance=0.10)
    yield Row(Quantity.SHARE, 2 * MIB, 512, 0.97, _V3, tolerance=0.01)
    yield Row(Quantity.DRAIN, 4 * KIB, 1, 25.5, "24-27 us, Linux 6.18", 1.5, cpus=2, tolerance=0.04)
    yield Row(Quantity.DRAIN, 4 * KIB, 1, 55.0, "40-70 us, from V3", 15.0, tolerance=0.2)
    yield Row(Quantity.SPEEDUP, 4 * KIB, GIGABYTE // (4 * KIB), 3.917, _FLUSH, victim_cpus=8, tolerance=0.04)
    yield Row(Quantity.INTERRUPTS, 4 * KIB, GIGABYTE // (4 * KIB), 0.991, _FLUSH, victim_cpus=8)


ROWS = tuple(_rows())
