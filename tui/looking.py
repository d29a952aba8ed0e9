"""What to look at next, and looking at it: the work of the looking thread, without the thread.

Each kind of look has a due time. A look that took long comes due later, so that all looking together stays within a few
percent of a CPU, however large the processes are; only what the operator waits for (a new selection, a job in progress)
may cost more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from numamig.backends.base import Backend
from numamig.errors import NumamigError, RefusedError, TargetGone
from numamig.model.process import Process
from numamig.model.topology import Topology
from numamig.observe.pagemap import read_page_map
from numamig.observe.placement import Placement, placement_of_process, placement_of_regions
from tui.snapshots import Census, Identity, MapSeen, NodesSeen, ProcessSeen, RegionsSeen, Standing, Watch

__all__ = ["Looker"]

_DUTY = 0.012
"""Share of a CPU that one kind of look may take."""
_BUSY_DUTY = 0.3
"""The same for the map of a process whose pages are moving. The first round over all processes takes what it needs."""
_KEEP_GONE_S = 10.0
_HOME_S = 10.0
_TOPOLOGY_S = 5.0


class Looker:
    """Looks, and keeps the latest of each kind. One thread looks; any thread reads the snapshots.

    :param now_s: the console's clock
    :param spent_s: CPU time of the thread that looks
    """

    def __init__(self, backend: Backend, now_s: Callable[[], float], spent_s: Callable[[], float]) -> None:
        self.backend = backend
        self._spent_s = spent_s
        self.nodes: NodesSeen | None = None
        self.census: Census | None = None
        self.regions: RegionsSeen | None = None
        self.map: MapSeen | None = None
        self.overview: MapSeen | None = None
        self.trouble = ""
        """What went wrong with the machine itself, in one line; "" when the last looks went well."""
        self._now_s = now_s
        self._topology: tuple[Topology, float] | None = None
        self._due: dict[str, float] = {}
        self._seen_for: dict[str, object] = {}
        """What the latest look of a kind was for; something new is due at once."""
        self._processes: dict[Identity, Process] = {}
        self._placements: dict[Identity, Placement] = {}
        self._locked: set[Identity] = set()
        self._gone: dict[Identity, float] = {}
        self._asked: dict[Identity, float] = {}
        self._ran_on: dict[Identity, dict[int, float]] = {}

    def next(self, watch: Watch) -> tuple[float, Callable[[Watch], None] | None]:
        """When the next look is due, and which one."""
        kinds: list[tuple[str, Callable[[Watch], None], object]] = [
            ("nodes", self._look_at_nodes, None),
            ("census", self._look_at_processes, None),
            ("placement", self._look_at_placement, None),
        ]
        if watch.identity is not None:
            if watch.grid is not None:
                kinds.append(("map", self._look_at_map, (watch.identity, watch.version)))
            if watch.overview is not None:
                kinds.append(("overview", self._look_at_overview, (watch.identity, watch.version)))
            kinds.append(("regions", self._look_at_regions, watch.identity))
        best: tuple[float, Callable[[Watch], None] | None] = (float("inf"), None)
        for kind, look, wanted in kinds:
            due = self._due.get(kind, 0.0) if self._seen_for.get(kind) == wanted else 0.0
            if kind in ("map", "nodes") and watch.busy and not self.trouble:
                due = min(due, self._due.get(f"busy {kind}", 0.0))
            if due < best[0]:
                best = (due, self._timed(kind, look, wanted))
        return best

    def _timed(self, kind: str, look: Callable[[Watch], None], wanted: object) -> Callable[[Watch], None]:
        def run(watch: Watch) -> None:
            began = self._spent_s()
            self._seen_for[kind] = wanted
            try:
                look(watch)
                self.trouble = ""
            except Exception as error:  # noqa: BLE001 - shown in the title; the thread looks again, and the rest goes on
                self.trouble = str(error) if isinstance(error, NumamigError) else repr(error)
            now, took = self._now_s(), self._spent_s() - began
            first_round = kind == "placement" and self.census is not None and not self.census.complete
            least = 0.0 if kind == "placement" else 1.0
            self._due[kind] = now + (2.0 if self.trouble else 0.0 if first_round else max(least, took / _DUTY))
            self._due[f"busy {kind}"] = now + max(0.12, took / _BUSY_DUTY)

        return run

    def _look_at_nodes(self, watch: Watch) -> None:
        now = self._now_s()
        if self._topology is None or now - self._topology[1] > _TOPOLOGY_S:
            self._topology = (self.backend.topology(), now)
        self.nodes = NodesSeen(self._topology[0], self.backend.node_counters(), now)

    def _look_at_processes(self, watch: Watch) -> None:
        now = self._now_s()
        present = {p.identity: p for p in self.backend.processes() if not p.kernel_thread and not p.zombie}
        for identity in self._processes.keys() - present.keys():
            self._gone.setdefault(identity, now)
        for identity in [i for i, since in self._gone.items() if now - since > _KEEP_GONE_S and i != watch.identity]:
            for kept in (self._gone, self._processes, self._placements, self._asked, self._ran_on):
                kept.pop(identity, None)
            self._locked.discard(identity)
        for identity in present:
            self._gone.pop(identity, None)
        self._processes.update(present)
        for identity, process in present.items():
            ran = self._ran_on.setdefault(identity, {})
            ran.update(dict.fromkeys(process.cpu_nodes, now))
            self._ran_on[identity] = {node: at for node, at in ran.items() if now - at <= _HOME_S}
        self._publish()

    def _publish(self) -> None:
        nodes = self.nodes
        with_cpus = {n.id for n in nodes.topology.nodes if n.cpus} if nodes is not None else set()
        rows = []
        for identity, process in sorted(self._processes.items()):
            ran = set(self._ran_on.get(identity, ()))
            everywhere = len(with_cpus) > 1 and ran >= with_cpus
            standing = Standing.LOCKED if identity in self._locked else Standing.HERE
            rows.append(
                ProcessSeen(
                    process=process,
                    home=() if everywhere else tuple(sorted(ran)),
                    runs_everywhere=everywhere,
                    placement=self._placements.get(identity),
                    standing=Standing.GONE if identity in self._gone else standing,
                )
            )
        complete = bool(rows) and all(row.identity in self._asked or row.standing is Standing.GONE for row in rows)
        self.census = Census(tuple(rows), self._now_s(), complete)

    def _look_at_placement(self, watch: Watch) -> None:
        """One process: never asked before asked lately, in view before out of view."""
        here = [i for i in self._processes if i not in self._gone]
        if not here:
            return
        in_view = set(watch.rows)
        now = self._now_s()

        def urgency(identity: Identity) -> tuple[bool, float, int]:
            asked = self._asked.get(identity)
            waited = 0.0 if asked is None else (now - asked) * (4 if identity in in_view else 1)
            return asked is None, waited, self._processes[identity].resident_bytes

        identity = max(here, key=urgency)
        page_size = self.nodes.topology.page_size if self.nodes is not None else 4096
        before = (
            self._placements.get(identity),
            identity in self._locked,
            identity in self._gone,
            identity in self._asked,
        )
        try:
            self._placements[identity] = placement_of_process(self.backend, self._processes[identity], page_size)
            self._locked.discard(identity)
        except RefusedError:
            self._locked.add(identity)
        except TargetGone:
            self._gone.setdefault(identity, now)
        self._asked[identity] = self._now_s()
        if before != (self._placements.get(identity), identity in self._locked, identity in self._gone, True):
            self._publish()

    def _look_at_regions(self, watch: Watch) -> None:
        identity = watch.identity
        if identity is None:
            return
        before = self.regions if self.regions is not None and self.regions.identity == identity else None
        try:
            self._demand_same(identity)
            regions = tuple(self.backend.regions(identity[0]))
            if before is None or before.placements is None or before.regions != regions:
                self.regions = RegionsSeen(identity, regions, None, self._now_s())
            counted = tuple(placement_of_regions(self.backend, identity[0], regions))
            self.regions = RegionsSeen(identity, regions, counted, self._now_s())
            self._adopt(identity, counted)
        except RefusedError as error:
            self.regions = RegionsSeen(identity, (), None, self._now_s(), Standing.LOCKED, str(error))
        except TargetGone as error:
            kept = before if before is not None else RegionsSeen(identity, (), None, self._now_s())
            self.regions = replace(kept, standing=Standing.GONE, problem=error.message)

    def _adopt(self, identity: Identity, counted: tuple[Placement, ...]) -> None:
        """Where all regions of a process were counted, so was the process: its row need not wait for its turn."""
        by_node: dict[int, int] = {}
        for placement in counted:
            for node, held in placement.bytes_by_node.items():
                by_node[node] = by_node.get(node, 0) + held
        self._asked[identity] = self._now_s()
        if self._placements.get(identity) != (whole := Placement(by_node)):
            self._placements[identity] = whole
            self._publish()

    def _look_at_map(self, watch: Watch) -> None:
        if watch.identity is None or watch.grid is None or self.nodes is None:
            return
        try:
            self._demand_same(watch.identity)
            topology = self.nodes.topology
            nodes = tuple(node.id for node in topology.nodes)
            seen = read_page_map(self.backend, watch.identity[0], watch.grid, nodes, topology.page_size)
        except (TargetGone, RefusedError):
            return  # the look at the regions says so; the last picture stays
        self.map = MapSeen(watch.identity, seen, self._now_s())

    def _look_at_overview(self, watch: Watch) -> None:
        if watch.identity is None or watch.overview is None or self.nodes is None:
            return
        try:
            self._demand_same(watch.identity)
            topology = self.nodes.topology
            nodes = tuple(node.id for node in topology.nodes)
            seen = read_page_map(self.backend, watch.identity[0], watch.overview, nodes, topology.page_size)
        except (TargetGone, RefusedError):
            return
        self.overview = MapSeen(watch.identity, seen, self._now_s())

    def _demand_same(self, identity: Identity) -> None:
        """A pid may have been given to another process meanwhile."""
        if self.backend.process(identity[0]).identity != identity:
            raise TargetGone(f"pid {identity[0]} has ended", pid=identity[0])
