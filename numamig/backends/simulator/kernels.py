"""How kernels differ in what they answer and how they go about it: data, so that no rule is scattered over ifs.

Source: observed on booted kernels (docs/kernel.md) and held by the conformance suite and the differential test; the
two of 2004 follow the thread "Migrate pages from a ccNUMA node to another" on linux-ia64 (docs/simulator.md).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["KERNELS", "KernelProfile", "Locking", "Retry"]


class Locking(StrEnum):
    """How a moving call holds the lock of the page tables."""

    PER_TABLE = "per-table"
    """Today's kernels: one lock for each page-table page, for as long as an entry takes."""
    HOLD = "hold"
    """``page_table_lock`` is held for the whole call: victims that fault queue for all of it."""
    RESCAN = "rescan"
    """Lock, choose, unlock, remap one page, and look for the next from the top of the page tables."""


class Retry(StrEnum):
    """What the kernel does about a page that is busy."""

    NEVER = "never"
    BOUNDED = "bounded"
    UNTIL = "until"
    """It must succeed: tried until it does, or a deadline passes."""


@dataclass(frozen=True, slots=True)
class KernelProfile:
    """The answers of one kernel that others answer differently."""

    name: str
    untouched: int
    """Status of a page of anonymous memory that was never touched. In files and shared memory it is ENOENT for all."""
    device: int
    """What a query says of frames that are nobody's pages: vvar, device memory. To move them is EFAULT for all."""
    sees_hinted: bool
    """Whether move_pages sees pages that NUMA balancing has marked PROT_NONE."""
    batch_pages: int
    """Base pages that are unmapped before the TLB is flushed: NR_MAX_BATCHED_MIGRATION, mm/migrate.c; 1 before 6.3."""
    page_bytes: int = 4096
    huge_bytes: int = 2 << 20
    """Of a transparent huge page; 0 where there are none."""
    pool_by_first_page: bool = False
    """Whether a page of a hugetlb pool is only found by its first address: by any other it is refused (EACCES)."""
    guesses_sharing: bool = False
    """Whether a large folio is shared or not as a whole, guessed from its first page (folio_likely_mapped_shared);
    before, each of its pages is or is not."""
    splits_remnants: bool = False
    """Whether a large folio that is no longer mapped in whole is split when it is to be moved (6.9). One that has moved
    entry by entry counts as such too (observed on 6.12.117): a second move splits it."""
    mthp: bool = False
    """Whether anonymous memory may come in folios between a page and a huge page (6.8)."""
    locking: Locking = Locking.PER_TABLE
    list_pages: int = 1 << 30
    """The most pages that are taken from one list at a time."""

    @property
    def huge_pages(self) -> int:
        """Base pages in a transparent huge page; 0 where there are none."""
        return self.huge_bytes // self.page_bytes


_IA64_2004 = {
    "untouched": -errno.ENOENT,
    "device": -errno.EFAULT,
    "sees_hinted": True,
    "batch_pages": 1,
    "page_bytes": 16384,
    "huge_bytes": 0,
    "list_pages": 2048,
}

KERNELS = {
    profile.name: profile
    for profile in (
        KernelProfile(
            "linux-6.1",
            untouched=-errno.EFAULT,
            device=-errno.EFAULT,
            sees_hinted=False,
            batch_pages=1,
            pool_by_first_page=True,
        ),
        KernelProfile(
            "linux-6.12",
            untouched=-errno.ENOENT,
            device=-errno.ENOENT,
            sees_hinted=True,
            batch_pages=512,
            guesses_sharing=True,
            splits_remnants=True,
            mthp=True,
        ),
        KernelProfile("ia64-2004-hold-lock", locking=Locking.HOLD, **_IA64_2004),  # type: ignore[arg-type]
        KernelProfile("ia64-2004-rescan", locking=Locking.RESCAN, **_IA64_2004),  # type: ignore[arg-type]
    )
}
