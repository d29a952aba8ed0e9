"""What the keys of one region must agree in, with each other and with the kernel."""

from __future__ import annotations

from collections.abc import Iterator

from numamig.backends.simulator.kernels import KernelProfile
from numamig.backends.simulator.scenario.fields import Fault
from numamig.backends.simulator.scenario.processes import RegionEntry
from numamig.model.process import RegionKind
from numamig.units import format_bytes

__all__ = ["region_faults"]

_PRIVATE = (RegionKind.ANON, RegionKind.HEAP, RegionKind.STACK)
_ABOUT_PAGES = (
    *("nodes", "pattern", "extent", "present", "huge", "folio", "heat"),
    *("swapped", "zero", "writeback", "locked", "pinned", "busy", "hinted"),
)
"""Keys about pages that were touched."""


def region_faults(region: RegionEntry, kernel: KernelProfile, first: RegionEntry | None) -> Iterator[Fault]:
    """
    :param first: the region that shares the same memory and says how it is placed; None where this is it
    """
    said = [key for key in _ABOUT_PAGES if key in region.model_fields_set]
    if first is not None:
        if (first.size, first.kind) != (region.size, region.kind):
            wanted = f"{first.kind} of {format_bytes(first.size)}"
            yield Fault(("share",), f"{region.share!r} is {wanted} elsewhere: kind and size must be the same")
        for key in said:
            yield Fault((key,), f"the first region that shares {region.share!r} says that")
        return
    if region.kind is RegionKind.HUGETLB and not kernel.huge_bytes:
        yield Fault(("kind",), f"kernel {kernel.name} has no huge pages")
    if region.kind is RegionKind.SPECIAL and said:
        yield Fault((said[0],), "special memory (vdso) is the kernel's: nothing is said of its pages")
        return
    if region.nodes is None:
        for key in said:
            yield Fault((key,), "says nothing here: without nodes the region was never touched")
        return
    yield from _placement(region)
    yield from _folios(region, kernel)
    yield from _states(region)


def _placement(region: RegionEntry) -> Iterator[Fault]:
    if "extent" in region.model_fields_set and region.pattern != "blocks":
        yield Fault(("extent",), f"says nothing for pattern {region.pattern}, only for blocks")
    weights = (region.nodes or {}).values()
    if region.pattern == "interleave" and any(weight != int(weight) or weight > 255 for weight in weights):
        yield Fault(("nodes",), "interleave takes whole weights from 1 to 255")


def _folios(region: RegionEntry, kernel: KernelProfile) -> Iterator[Fault]:
    if region.huge and not kernel.huge_bytes:
        yield Fault(("huge",), f"kernel {kernel.name} has no huge pages")
    if region.folio is None:
        return
    if region.huge or region.kind is RegionKind.HUGETLB:
        yield Fault(("folio",), "the region has huge pages already: give one of the two")
    elif not kernel.mthp:
        yield Fault(("folio",), f"kernel {kernel.name} has no folios between a page and a huge page")
    elif region.folio & (region.folio - 1) or not 4 * kernel.page_bytes <= region.folio <= kernel.huge_bytes // 2:
        least, most = format_bytes(4 * kernel.page_bytes), format_bytes(kernel.huge_bytes // 2)
        yield Fault(("folio",), f"must be a power of two from {least} to {most}")


def _states(region: RegionEntry) -> Iterator[Fault]:
    hugetlb = region.kind is RegionKind.HUGETLB
    if region.swapped:
        if region.locked:
            yield Fault(("swapped",), "locked memory is never swapped out")
        if hugetlb or region.kind is RegionKind.FILE:
            yield Fault(("swapped",), f"{region.kind} memory is never swapped out")
    if region.zero and region.kind not in _PRIVATE:
        yield Fault(("zero",), f"{region.kind} memory has no zero page: only anonymous memory has")
    if region.zero and (region.huge or region.folio):
        yield Fault(("zero",), "the zero page is a single page: not with huge or folio")
    for key, share in (("hinted", region.hinted), ("writeback", region.writeback)):
        if share and hugetlb:
            yield Fault((key,), f"hugetlb memory is never {'marked' if key == 'hinted' else 'written back'}")
