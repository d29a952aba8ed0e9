"""How long calls take on the simulated machine, in virtual nanoseconds.

T(call) = F + Σ flush [ f + Σ folio ( a + p · PTEs + bytes / bandwidth ) ]
A first fit to published rates of one machine (Zen 3, one thread): 4 KiB folios 3.7 GB/s, 2 MiB folios 10.6 GB/s.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CostModel"]


@dataclass(frozen=True, slots=True)
class CostModel:
    """Every parameter in ns, or ns per unit."""

    call_ns: float = 25_000.0
    """F: a moving call drains the per-CPU lists of every CPU."""
    query_ns: float = 1_100.0
    """Floor of an asking call."""
    query_page_ns: float = 160.0
    flush_ns: float = 2_000.0
    """f: one run handed to the migration code."""
    folio_ns: float = 400.0
    """a: isolating, allocating, putting back."""
    pte_ns: float = 300.0
    """p: unmapping and mapping one PTE; a huge page has one."""
    huge_ns: float = 6_000.0
    """Extra for a 2 MiB folio."""
    bytes_per_ns: float = 10.9
    """Copying."""
    look_page_ns: float = 30.0
    """Reading one page-map entry."""
    failed_folio_ns: float = 4_000.0
    """A folio that the kernel tries in all its passes in vain."""

    def moving(self, small: int, huge: int, failed: int, runs: int, copied_bytes: int) -> int:
        """A call that moved ``small`` base pages and ``huge`` 2 MiB folios in ``runs`` flushes."""
        return round(
            self.call_ns
            + runs * self.flush_ns
            + (small + huge) * (self.folio_ns + self.pte_ns)
            + huge * self.huge_ns
            + failed * self.failed_folio_ns
            + copied_bytes / self.bytes_per_ns
        )

    def asking(self, pages: int) -> int:
        return round(self.query_ns + pages * self.query_page_ns)

    def looking(self, pages: int) -> int:
        return round(pages * self.look_page_ns)
