"""What a plan is for: regions, addresses and classes of pages, in words and as requests."""

from __future__ import annotations

from numamig.migrate.destination import Node
from numamig.migrate.request import Mapped
from numamig.model.process import Process, Region, RegionKind
from tests.tui.consoles import world
from tests.tui.test_plan_dialog import typed
from tui.plans.choice import Only, Target
from tui.plans.form import first_form
from tui.threads.snapshots import ProcessSeen

PAGE = 4096
PROCESS = ProcessSeen(Process(7, 1, "db", "dba", cpu_nodes=(1,)), (1,), runs_everywhere=False, placement=None)
HEAP = Region(0x100000, 0x200000, RegionKind.HEAP, "rw-p")


def test_a_target_says_what_it_is() -> None:
    ranges = ((0x300000, 0x340000), (0x400000, 0x500000))
    assert Target(PROCESS).words == "all regions"
    assert Target(PROCESS, (HEAP,)).words == "1 region of 1.0M"
    assert Target(PROCESS, ranges=ranges).words == "2 ranges of 1.2M"
    assert Target(PROCESS, (HEAP,), ranges[:1]).words == "1 region + 1 range of 1.2M"
    only = Only((0, 2), frozenset({RegionKind.ANON}), huge=True, mapped=Mapped.PRIVATE, paths=("*pg*",))
    assert Target(PROCESS, ranges=ranges, only=only).words == "2 ranges of 1.2M, on node 0,2, anon, huge, private, *pg*"


def test_regions_and_ranges_add_up() -> None:
    assert Target(PROCESS).within is None
    assert Target(PROCESS, (HEAP,), ((0x180000, 0x280000),)).within == ((0x100000, 0x280000),)


def test_a_class_of_pages_becomes_a_request() -> None:
    only = Only((1,), frozenset({RegionKind.FILE}), huge=False, mapped=Mapped.SHARED, paths=("*/base/*",))
    topology = world().backend.topology()
    form = first_form((Target(PROCESS, only=only),), topology)
    assert form.to == Node(0), "not to the node that the pages are to leave"
    assert form.value("From") == "node 1"
    (request,) = form.requests()
    assert (request.to, request.sources, request.within) == (Node(0), (1,), None)
    assert (request.kinds, request.paths, request.huge, request.mapped) == (
        only.kinds, only.paths, only.huge, only.mapped,
    )  # fmt: skip
    said = typed(request)
    assert (said["source"], said["kind"], said["path"]) == ("1", "file", ("*/base/*",))
    assert (said["huge"], said["mapped"]) == (False, "shared")
