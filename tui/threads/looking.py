"""What to look at next, and looking at it: the work of the looking thread, without the thread.

Each kind of look has a due time. A look that took long comes due later, so that all looking together stays within a few
percent of a CPU, however large the processes are; only what the operator waits for (a new selection, a job in progress)
may cost more. What is large is estimated first, and counted only where that is affordable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from numamig.backends.base import Backend, Capabilities, TellsPageFlags, TellsWorkings
from numamig.errors import NumamigError, RefusedError, TargetGone
from numamig.migrate.stayed import StayedSeen
from numamig.model.pageflags import PageFlag
from numamig.model.process import Region
from numamig.model.topology import Topology
from numamig.observe.census import Census, CensusTaker, Identity, Standing
from numamig.observe.flagshares import look_at_flags
from numamig.observe.pagemap import Grid, PageMap, read_page_map
from numamig.observe.placement import EXACT_BELOW_BYTES, Placement, counts_quickly, placement_of_regions
from numamig.observe.sampling import estimate_regions, pages_in_buckets, sample_page_map
from tui.threads.lenses import Lens
from tui.threads.snapshots import FlagsSeen, MapSeen, NodesSeen, RegionsSeen, Trouble, Watch

__all__ = ["Looker"]

_DUTY = 0.006
"""Share of a CPU that one kind of look may take."""
_FLAGS_DUTY = 0.004
"""The same for what pages are besides where they are, which seldom changes."""
_BUSY_DUTY = 0.3
"""The same for the map of a process whose pages are moving."""
_TOPOLOGY_S = 5.0
_AGAIN_S = 2.0
"""When what failed is looked at again."""
_HANGS_S = 5.0
"""A look that takes longer is said to."""
_NAMES = {"census": "processes", "flags": "page flags", "overview": "minimap"} | {
    kind: kind for kind in ("nodes", "map", "regions")
}
_COUNTED_BYTES = 4 << 30
"""As much in view is counted, after a first picture; more stays estimated."""


class Looker:
    """Looks, and keeps the latest of each kind. One thread looks; any thread reads the snapshots.

    :param now_s: the console's clock
    :param spent_s: CPU time of the thread that looks
    """

    def __init__(self, backend: Backend, now_s: Callable[[], float], spent_s: Callable[[], float]) -> None:
        self.backend = backend
        self._spent_s = spent_s
        self.nodes: NodesSeen | None = None
        self.regions: RegionsSeen | None = None
        self.map: MapSeen | None = None
        self.overview: MapSeen | None = None
        self.flags: FlagsSeen | None = None
        self.stayed_of: Callable[[Identity], StayedSeen | None] = _nothing_stayed
        """What jobs left behind of a process."""
        self._troubles: dict[str, Trouble] = {}
        """What went wrong with the latest look of a kind; replaced as a whole."""
        self._doing: tuple[str, float] | None = None
        """The look that is under way, and since when."""
        self._now_s = now_s
        self._taker = CensusTaker(backend, lambda: round(now_s() * 1e9), lambda: round(spent_s() * 1e9))
        self._topology: tuple[Topology, float] | None = None
        self._due: dict[str, float] = {}
        self._seen_for: dict[str, object] = {}
        """What the latest look of a kind was for; something new is due at once."""

    @property
    def troubles(self) -> Mapping[str, Trouble]:
        """Kind of look → why its latest failed, or does not come to an end; empty when all went well."""
        doing, troubles = self._doing, self._troubles
        if doing is None or (lasts_s := self._now_s() - doing[1]) < _HANGS_S:
            return troubles
        kind = doing[0]
        hangs = Trouble(
            _NAMES[kind], f"the kernel has not answered for {lasts_s:.0f} s", "nothing is seen until it does"
        )
        return {**troubles, kind: hangs}

    @property
    def census(self) -> Census | None:
        return self._taker.latest

    def next(self, watch: Watch) -> tuple[float, Callable[[Watch], None] | None]:
        """When the next look is due, and which one."""
        kinds: list[tuple[str, Callable[[Watch], None], object]] = [("nodes", self._look_at_nodes, None)]
        if self.nodes is not None:
            kinds.append(("census", self._look_at_processes, None))
        if watch.identity is not None:
            if watch.grid is not None:
                kinds.append(("map", self._look_at_map, (watch.identity, watch.version)))
            if watch.overview is not None:
                kinds.append(("overview", self._look_at_overview, (watch.identity, watch.version)))
            kinds.append(("regions", self._look_at_regions, watch.identity))
            if watch.grid is not None and self.map is not None and watch.lens not in (Lens.NODE, Lens.HEAT):
                kinds.append(("flags", self._look_at_flags, watch.looks_at))
        best: tuple[float, Callable[[Watch], None] | None] = (float("inf"), None)
        for kind, look, wanted in kinds:
            due = self._due.get(kind, 0.0) if self._seen_for.get(kind) == wanted else 0.0
            if kind == "census":
                due = max(due, self._taker.due_ns() / 1e9)
            if kind in ("map", "nodes") and watch.busy and not self._troubles:
                due = min(due, self._due.get(f"busy {kind}", 0.0))
            if due < best[0]:
                best = (due, self._timed(kind, look, wanted))
        return best

    def hurry(self) -> None:
        """Everything is due now."""
        self._due.clear()
        self._topology = None
        self._taker.hurry()

    def _timed(self, kind: str, look: Callable[[Watch], None], wanted: object) -> Callable[[Watch], None]:
        def run(watch: Watch) -> None:
            began = self._spent_s()
            self._seen_for[kind] = wanted
            self._doing = (kind, self._now_s())
            others = {name: trouble for name, trouble in self._troubles.items() if name != kind}
            try:
                look(watch)
                self._troubles = others
            except Exception as error:  # noqa: BLE001 - shown; the thread looks again, and the rest goes on
                self._troubles = {**others, kind: _trouble(_NAMES[kind], error)}
            finally:
                self._doing = None
            now, took = self._now_s(), self._spent_s() - began
            # The census keeps to a budget of its own.
            wait = 0.0 if kind == "census" else max(1.0, took / (_FLAGS_DUTY if kind == "flags" else _DUTY))
            self._due[kind] = now + (_AGAIN_S if kind in self._troubles else wait)
            self._due[f"busy {kind}"] = now + max(0.12, took / _BUSY_DUTY)

        return run

    def _look_at_nodes(self, watch: Watch) -> None:
        now = self._now_s()
        if self._topology is None or now - self._topology[1] > _TOPOLOGY_S:
            self._topology = (self.backend.topology(), now)
        workings = self.backend.workings() if isinstance(self.backend, TellsWorkings) else None
        self.nodes = NodesSeen(self._topology[0], self.backend.node_counters(), now, workings)

    def _look_at_processes(self, watch: Watch) -> None:
        if self.nodes is not None:
            self._taker.look(self.nodes.topology, watch.rows, watch.identity)

    def _look_at_regions(self, watch: Watch) -> None:
        identity = watch.identity
        if identity is None:
            return
        before = self.regions if self.regions is not None and self.regions.identity == identity else None
        try:
            resident = self._demand_same(identity)
            regions = tuple(self.backend.regions(identity[0]))
            if before is None or before.placements is None or before.regions != regions:
                self.regions = RegionsSeen(identity, regions, None, self._now_s())
                if not counts_quickly(resident, regions):
                    self._publish_regions(identity, regions, counted=False)
            counted = counts_quickly(resident, regions, _COUNTED_BYTES)
            placements = self._publish_regions(identity, regions, counted=counted)
            if counted:
                self._taker.adopt(identity, _sum(placements))
        except RefusedError as error:
            self.regions = RegionsSeen(identity, (), None, self._now_s(), Standing.LOCKED, str(error))
        except TargetGone as error:
            kept = before if before is not None else RegionsSeen(identity, (), None, self._now_s())
            self.regions = replace(kept, standing=Standing.GONE, problem=error.message)

    def _publish_regions(
        self, identity: Identity, regions: tuple[Region, ...], *, counted: bool
    ) -> tuple[Placement, ...]:
        if counted:
            placements = tuple(placement_of_regions(self.backend, identity[0], regions))
        else:
            page_size = self.nodes.topology.page_size if self.nodes is not None else 4096
            placements = tuple(estimate_regions(self.backend, identity[0], regions, page_size))
        self.regions = RegionsSeen(identity, regions, placements, self._now_s())
        return placements

    def _look_at_map(self, watch: Watch) -> None:
        def publish(seen: MapSeen) -> None:
            self.map = seen

        self._see_pages(watch, watch.grid, self.map, publish)

    def _look_at_overview(self, watch: Watch) -> None:
        def publish(seen: MapSeen) -> None:
            self.overview = seen

        self._see_pages(watch, watch.overview, self.overview, publish)

    def _see_pages(
        self, watch: Watch, grid: Grid | None, before: MapSeen | None, publish: Callable[[MapSeen], None]
    ) -> None:
        """A first picture at once where counting takes longer than a glance; what is affordable is counted then."""
        identity = watch.identity
        if identity is None or grid is None or self.nodes is None:
            return
        topology = self.nodes.topology
        nodes = tuple(node.id for node in topology.nodes)

        def show(page_map: PageMap) -> None:
            publish(MapSeen(identity, page_map, self._now_s()))

        try:
            self._demand_same(identity)
            known = self.regions is not None and self.regions.identity == identity and self.regions.regions
            regions = known or tuple(self.backend.regions(identity[0]))
            in_view = int(pages_in_buckets(grid, regions, topology.page_size).sum()) * topology.page_size
            new = before is None or before.identity != identity or before.page_map.grid is not grid
            if in_view > _COUNTED_BYTES or (in_view > EXACT_BELOW_BYTES and new):
                show(sample_page_map(self.backend, identity[0], grid, regions, nodes, topology.page_size))
            if in_view <= _COUNTED_BYTES:
                show(read_page_map(self.backend, identity[0], grid, nodes, topology.page_size))
        except (TargetGone, RefusedError):
            return  # the look at the regions says so; the last picture stays

    def _look_at_flags(self, watch: Watch) -> None:
        """A part of the pages in view; what jobs left behind is known here already."""
        identity, grid = watch.identity, watch.grid
        if identity is None or grid is None or self.nodes is None:
            return
        stayed = self.stayed_of(identity)
        shares, problem = None, "this machine tells nothing of single pages but where they are"
        if isinstance(self.backend, TellsPageFlags):
            try:
                self._demand_same(identity)
                regions = tuple(self.backend.regions(identity[0]))
                page_size = self.nodes.topology.page_size
                shares = look_at_flags(self.backend, identity[0], grid, regions, page_size)
                problem = what_is_missing(shares.told, self.backend.capabilities)
            except TargetGone:
                return
            except RefusedError as error:
                problem = str(error)
        self.flags = FlagsSeen(identity, shares, stayed, self._now_s(), problem)

    def _demand_same(self, identity: Identity) -> int:
        """How much is resident. A pid may have been given to another process meanwhile."""
        process = self.backend.process(identity[0])
        if process.identity != identity:
            raise TargetGone(f"pid {identity[0]} has ended", pid=identity[0])
        return process.resident_bytes


def _trouble(kind: str, error: Exception) -> Trouble:
    cause, hint = (error.message, error.hint) if isinstance(error, NumamigError) else (repr(error), None)
    return Trouble(kind, cause, hint or f"looked at again every {_AGAIN_S:.0f} s")


def what_is_missing(told: PageFlag, capabilities: Capabilities) -> str:
    """Which of the letters this machine and these rights do not tell, and what would help; "" where all are told."""
    if not told:
        return ""  # no page in view is there
    if PageFlag.BUSY not in told:
        helps = "" if capabilities.simulated else " (run with sudo)"
        return f"busy, pinned not told{helps}"
    return "" if PageFlag.PINNED in told else "no kernel tells pinned"


def _nothing_stayed(_: Identity) -> StayedSeen | None:
    return None


def _sum(placements: tuple[Placement, ...]) -> Placement:
    """Where all regions of a process were counted, so was the process."""
    by_node: dict[int, int] = {}
    for placement in placements:
        for node, held in placement.bytes_by_node.items():
            by_node[node] = by_node.get(node, 0) + held
    return Placement(by_node)
