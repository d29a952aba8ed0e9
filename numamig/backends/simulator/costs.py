"""How long calls take on the simulated machine: one model, and where each of its numbers comes from.

T(call) = F(CPUs) + f · runs + Σ flush ( l + IPIs · t ) + Σ folio ( a + mappers · P(PTEs) + bytes / rate ) + S(bytes)
          + w where pages are being written back

Virtual nanoseconds. ``python -m benchmarks.cost_model fit`` repeats the fit and prints the residuals of every published
figure, fitted or not; docs/simulator.md explains the terms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TypeVar

__all__ = ["Conditions", "CostModel", "Duration", "Load", "Parameter"]

_PAGE = 4096
_HUGE_PAGES = 512
_NEAR_PTES = 16
"""PTEs of a folio that cost the first price; the figures fitted lie on either side of 16 (64 KiB)."""

Number = TypeVar("Number", int, float)


def _parameter(value: Number, symbol: str, unit: str, source: str) -> Number:
    return field(default=value, metadata={"symbol": symbol, "unit": unit, "source": source})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of the model."""

    name: str
    symbol: str
    """As in the formula."""
    value: float
    unit: str
    source: str
    """Begins with how it was had: fitted, measured, derived, read or assumed."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one moving call has to do."""

    folios: int
    """That move, whatever their size."""
    ptes: int
    """Page table entries of them in each process that maps them; a 2 MiB folio has one, which is a PMD."""
    far_ptes: int
    """Of these, entries beyond the first 16 of their folio."""
    copied_bytes: int
    runs: int = 1
    """Stretches of equal target that were handed to the migration code."""
    failed: int = 0
    """Folios that were tried in vain."""
    written_back: bool = False
    """Whether any of them is being written to its device: that is waited for (MIGRATE_SYNC)."""

    @classmethod
    def of(cls, folio_bytes: int, folios: int) -> Load:
        """Folios of one size, in one run.

        :param folio_bytes: a power of two from 4 KiB to 2 MiB
        """
        pages = folio_bytes // _PAGE
        if folio_bytes % _PAGE or not 1 <= pages <= _HUGE_PAGES or pages & (pages - 1):
            raise ValueError(f"a folio of {folio_bytes} bytes is not a power of two from 4 KiB to 2 MiB")
        ptes, far_ptes = cls.entries(pages)
        return cls(folios, folios * ptes, folios * far_ptes, folios * folio_bytes)

    @staticmethod
    def entries(folio_pages: int, huge_pages: int = _HUGE_PAGES) -> tuple[int, int]:
        """Page table entries of a folio, and how many of them are far; a huge page has one, its PMD.

        :param huge_pages: base pages in a huge page, 0 where there are none
        """
        if huge_pages and folio_pages >= huge_pages:
            return max(1, folio_pages // huge_pages), 0
        return folio_pages, max(0, folio_pages - _NEAR_PTES)

    def flushes(self, batch_pages: int) -> float:
        """TLB flushes. A batch that is not full counts as the part that it is, so this is a mean over calls."""
        return min(self.folios, max(self.runs, self.copied_bytes / _PAGE / batch_pages))


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which a call is made."""

    cpus: int | None = None
    """CPUs that are online; None for as many as the machine has that the costs are fitted to."""
    victim_cpus: int = 0
    """CPUs besides the caller's that run threads of the process: a flush interrupts each."""
    copy_threads: int = 1
    """Kernel threads that share the copying (no released kernel has more than one)."""
    mappers: float = 1.0
    """Page tables that map a page, on average."""
    batch_pages: int = _HUGE_PAGES
    """Base pages to a flush: of the kernel profile."""
    copied_before_bytes: float = math.inf
    """Moved just before this call; 0 after a pause, when the machine has yet to settle."""


@dataclass(frozen=True, slots=True)
class Duration:
    """Where the time of one call goes, in ns."""

    drain_ns: float
    runs_ns: float
    flush_ns: float
    """Local TLB flushes and interrupts."""
    folios_ns: float
    ptes_ns: float
    copy_ns: float
    settling_ns: float
    failed_ns: float
    writeback_ns: float
    """Waited for devices."""
    flushes: float
    interrupts: float
    """IPIs sent."""

    @property
    def batches_ns(self) -> float:
        """Time in which pages of the call are unmapped."""
        return self.flush_ns + self.folios_ns + self.ptes_ns + self.copy_ns

    @property
    def total_ns(self) -> float:
        return self.drain_ns + self.runs_ns + self.batches_ns + self.settling_ns + self.failed_ns + self.writeback_ns

    @property
    def copy_share(self) -> float:
        """Part of the call that is copying, 0 to 1."""
        return self.copy_ns / self.total_ns


_RFC = "RFC V3"
"""'Accelerate page migration with batch copying and hardware offload', 2025-09: two sockets of Zen 3, 6.16-rc6."""
_SIZES = f"fitted: 1 GB by folio size, 4K 64K 512K 2M, {_RFC}"
_COUNTS = f"fitted: 2 MiB folios, 1 8 64 512 a call, {_RFC}"
_HERE = "2-CPU x86-64 machine, Linux 6.18"


@dataclass(frozen=True, slots=True)
class CostModel:
    """The parameters, and what follows from them."""

    drain_ns: float = _parameter(25_230.0, "F0", "ns/call", f"fitted: F = 24-27 us on a {_HERE}")
    """Have the per-CPU lists of pages drained: wake a worker, and wait."""
    drain_cpu_ns: float = _parameter(
        135.0, "F1", "ns/CPU", f"fitted: F = 40-70 us on the machine of {_RFC}, and 2 MiB folios, 1 a call"
    )
    """Per CPU that is online: F = F0 + F1 · CPUs."""
    cpus: int = _parameter(
        128, "CPUs", "1", f"read: {_RFC}, '2-sockets, 32 cores, SMT Enabled'; taken as 32 cores a socket"
    )
    """Of the machine that the costs are fitted to."""
    run_ns: float = _parameter(
        4_200.0,
        "f",
        "ns/run",
        "derived: RFC V1, migrate_pages() at 2 GHz took 17,799 cycles for one page and 3,478 a page for 512;"
        " the difference scaled to V3 (1,098 ns a page where V1 took 1,885)",
    )
    """Hand one run of pages to the migration code."""
    flush_ns: float = _parameter(200.0, "l", "ns/flush", "assumed: one local TLB flush; too little to show in any row")
    ipi_ns: float = _parameter(
        385.0,
        "t",
        "ns/IPI",
        "fitted: batched flushing moved 3.9 times the pages a second (commit 7e12beb8ca2a);"
        " assumed that it ran on 8 other CPUs, which is not said",
    )
    """Interrupt one CPU that runs the process, and wait until it has flushed."""
    folio_ns: float = _parameter(451.0, "a", "ns/folio", _SIZES)
    """Isolate, allocate, lock, put back."""
    pte_ns: float = _parameter(277.0, "p", "ns/PTE", _SIZES)
    """Unmap and map again one of the first 16 entries of a folio (or its PMD)."""
    far_pte_ns: float = _parameter(194.0, "q", "ns/PTE", _SIZES)
    """The same for any further entry: those of a long run are fetched ahead."""
    copy_bytes_per_ns: float = _parameter(
        10.84, "b", "GB/s", f"fitted: 1 GB of 2M, and copying as 97 % of a call of 512 x 2M, {_RFC}"
    )
    """Copying between nodes by one thread."""
    copy_ceiling_bytes_per_ns: float = _parameter(40.3, "c", "GB/s", f"fitted: 16 copy threads, 4K and 2M, {_RFC}")
    """Copying by any number of threads: the links and the memory are the limit."""
    settling_ns: float = _parameter(2_860_000.0, "E", "ns", _COUNTS)
    """Lost in all by a call that comes after a pause: S(bytes) = E · (1 - exp(-bytes / B)). Why is not known."""
    settling_bytes: float = _parameter(137_000_000.0, "B", "bytes", _COUNTS)
    """After so many bytes about two thirds of it are lost."""
    retry_passes: int = _parameter(10, "r", "1", "read: NR_MAX_MIGRATE_PAGES_RETRY in mm/migrate.c; each taken as a")
    """Over a folio that does not move."""
    writeback_ns: float = _parameter(
        100_000.0,
        "w",
        "ns/call",
        "assumed: a write that an SSD without a cache has in its queue; all of a call are under way at once",
    )
    """Waited by a call until the last of its pages that are being written back is written."""
    query_ns: float = _parameter(1_100.0, "Q", "ns/call", f"measured: {_HERE}, floor of an asking call")
    query_page_ns: float = _parameter(160.0, "g", "ns/page", f"measured: {_HERE}, 150-190")
    look_page_ns: float = _parameter(
        30.0, "k", "ns/page", f"measured: {_HERE}, 26-32 for an entry of /proc/PID/pagemap"
    )

    def provenance(self) -> list[Parameter]:
        """Every parameter with its unit and its source, in the order of the formula."""
        return [Parameter(each.name, value=getattr(self, each.name), **each.metadata) for each in fields(self)]

    def duration(self, load: Load, conditions: Conditions = Conditions()) -> Duration:
        """A moving call, by what its time goes into."""
        cpus = self.cpus if conditions.cpus is None else conditions.cpus
        flushes = load.flushes(conditions.batch_pages)
        interrupts = flushes * min(conditions.victim_cpus, cpus - 1)
        near = load.ptes - load.far_ptes
        before = conditions.copied_before_bytes
        return Duration(
            drain_ns=self.drain_ns + self.drain_cpu_ns * cpus,
            runs_ns=load.runs * self.run_ns,
            flush_ns=flushes * self.flush_ns + interrupts * self.ipi_ns,
            folios_ns=load.folios * self.folio_ns,
            ptes_ns=conditions.mappers * (near * self.pte_ns + load.far_ptes * self.far_pte_ns),
            copy_ns=load.copied_bytes / self.copying(min(conditions.copy_threads, cpus)),
            settling_ns=self._settled_ns(before + load.copied_bytes) - self._settled_ns(before),
            failed_ns=load.failed * self.retry_passes * self.folio_ns,
            writeback_ns=load.written_back * self.writeback_ns,
            flushes=flushes,
            interrupts=interrupts,
        )

    def copying(self, threads: int) -> float:
        """Bytes per ns that so many threads copy together: b for one, never more than c.

        The law between the two is assumed: c · tanh(n · artanh(b / c)).
        """
        ceiling = self.copy_ceiling_bytes_per_ns
        return ceiling * math.tanh(threads * math.atanh(min(0.999, self.copy_bytes_per_ns / ceiling)))

    def stall_ns(self, load: Load, conditions: Conditions = Conditions()) -> float:
        """The longest that a thread sleeps which touches a page of the call: from unmapping to the end of its batch.

        Of a load of folios of one size. Waiting for mmap_lock and for memory bandwidth comes on top.
        """
        parts = self.duration(load, conditions)
        return parts.batches_ns / parts.flushes if parts.flushes else 0.0

    def asking(self, pages: int) -> int:
        """ns of a call that asks where so many pages are."""
        return round(self.query_ns + pages * self.query_page_ns)

    def looking(self, pages: int) -> int:
        """ns of reading the page map of so many pages."""
        return round(pages * self.look_page_ns)

    def _settled_ns(self, copied_bytes: float) -> float:
        """Lost to settling since the pause."""
        return -self.settling_ns * math.expm1(-copied_bytes / self.settling_bytes)
