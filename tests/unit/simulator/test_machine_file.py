"""A machine in a file: what is left is found again, whatever became of the program that left it."""

from __future__ import annotations

import os
import random
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.base import MPOL_MF_MOVE_ALL, TellsMemoryImage
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.machinefile import open_machine
from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.backends.simulator.scenario import load_machine
from numamig.errors import FileError, NumamigError, RefusedError, UsageError

SCENARIO = """scenario: 1
title: kept
seed: 7
nodes:
  - {id: 0, cpus: 0-1, memory: 128MiB, hugepages: 8MiB}
  - {id: 1, cpus: 2-3, memory: 48MiB, used: 4MiB, cache: 20MiB, reserve: 4MiB}
  - {id: 4, memory: 64MiB, tier: 2}
processes:
  - name: db
    pid: 10
    threads: 2
    runs_on: [1]
    workload: {compute: 50ns}
    regions:
      - {kind: heap, size: 24MiB, nodes: {0: 3, 1: 1}, heat: {zipf: 1.1}, swapped: 5%, zero: 5%, pinned: 0.1%}
      - {kind: anon, size: 8MiB, nodes: {0: 1}, huge: true}
      - {kind: anon, size: 2MiB, nodes: {0: 1}, folio: 64KiB}
      - {kind: shmem, size: 4MiB, nodes: {0: 1}, share: pool, huge: true}
      - {kind: hugetlb, size: 4MiB, nodes: {0: 1}}
      - {kind: anon, size: 1GiB}
  - name: reader
    pid: 11
    runs_on: [0]
    regions:
      - {kind: shmem, size: 4MiB, share: pool}
      - {kind: heap, size: 1MiB, nodes: {4: 1}}
actors:
  - {kind: balancing, scan_delay: 50ms}
"""
HEAP, HUGE, FOLIOS, SHARED = range(4)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "kept.yaml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.numamig"


def addresses(machine: Machine, region: int, first: int, pages: int, pid: int = 10) -> np.ndarray:
    start = machine.process(pid).regions[region].start
    return (start + np.arange(first, first + pages) * 4096).astype(np.uint64)


def move(machine: Machine, region: int, first: int, pages: int, node: int) -> None:
    where = addresses(machine, region, first, pages)
    SimulatorBackend(machine).move_pages(10, where, np.full(pages, node, np.int32), MPOL_MF_MOVE_ALL)


def backings(machine: Machine) -> list[Backing]:
    return list({id(b): b for p in machine.processes.values() for b in p.backings}.values())


def state(machine: Machine) -> dict[str, object]:
    """All that must survive, by name."""
    workings = machine.workings()
    found: dict[str, object] = {
        "time": machine.timeline.now_ns,
        "vmstat": dict(machine.vmstat),
        "moving": workings.moving,
        "processes": [(p.pid, p.start_time, p.resident_pages) for p in machine.processes.values()],
        "boot": machine.boot_id,
    }
    for node in machine.nodes.values():
        found[f"node {node.id}"] = (node.free_pages, node.cache_pages, node.pool_free, node.pool_total)
    for number, backing in enumerate(backings(machine)):
        heat = None if backing.heat is None else backing.heat.tobytes()
        arrays = (backing.node.tobytes(), backing.flags.tobytes(), backing.sharers.tobytes(), heat)
        found[f"backing {number}"] = (hash(arrays), backing.resident_pages, sorted(backing.worn))
    return found


def check_books(machine: Machine) -> None:
    """Used and free memory make up every node."""
    used = dict.fromkeys(machine.nodes, 0)
    for backing in backings(machine):
        mine = backing.node[backing.flags & int(Flag.ZERO) == 0]
        for node in machine.nodes:
            used[node] += int((mine == node).sum())
        assert backing.resident_pages == int((mine != ABSENT).sum())
    kernel = {0: 0, 1: 4 << 8, 4: 0}
    for node in machine.nodes.values():
        other = kernel[node.id] + node.cache_pages + node.pool_free * 512
        assert node.free_pages + used[node.id] + other == node.total_pages, f"node {node.id}"
        assert node.free_pages >= 0


def test_what_is_left_is_found_again(file: Path, scenario: Path) -> None:
    with open_machine(file, scenario) as machine:
        made = state(machine)
        for first in range(0, 5000, 50):
            move(machine, HEAP, first, 50, 1)  # takes page cache, and leaves pinned and absent pages
        move(machine, FOLIOS, 0, 512, 4)
        move(machine, SHARED, 0, 1024, 4)
        move(machine, HUGE, 0, 2048, 1)  # does not fit: a folio is split
        machine.clock.sleep_ns(300_000_000)  # balancing marks pages, and brings some
        left = state(machine)
        check_books(machine)
    with open_machine(file) as machine:
        found = state(machine)
        check_books(machine)
        assert machine.balancing == 1
    assert found == left
    changed = {name for name in made if made[name] != found[name]}
    assert changed >= {"time", "vmstat", "moving", "node 0", "node 1", *(f"backing {number}" for number in range(4))}
    assert not {"boot", "processes"} & changed
    assert found["node 1"][1] < 20 << 8, "no page cache was given up"  # type: ignore[index]


def test_a_made_machine_is_the_one_in_memory(file: Path) -> None:
    for name in ("every-state", "dram-cxl", "ia64-2004-rescan"):
        scenario = Path(__file__).parents[3] / f"profiles/scenarios/{name}.yaml"
        in_memory = load_machine(scenario)
        with open_machine(file.with_name(name), scenario) as machine:
            assert {**state(machine), "boot": ""} == {**state(in_memory), "boot": ""}
            made = state(machine)
        with open_machine(file.with_name(name)) as machine:
            assert state(machine) == made


def test_time_goes_on_for_workloads_and_balancing(file: Path, scenario: Path) -> None:
    with open_machine(file, scenario) as machine:
        machine.clock.sleep_ns(10_000_000_000)
    with open_machine(file) as machine:
        (before,) = machine.workings().workloads
        assert machine.clock.now_ns() == 10_000_000_000
        assert 0 < before.speed <= 1 and before.stalled_ns == 0
        marked = machine.vmstat["numa_pte_updates"]
        move(machine, HEAP, 0, 2000, 4)
        machine.clock.sleep_ns(1_000_000_000)
        assert machine.vmstat["numa_pte_updates"] > marked
        (after,) = machine.workings().workloads
        assert after.stalled_ns > 0


def test_what_an_actor_does_once_is_not_done_again(file: Path, tmp_path: Path) -> None:
    tool = (
        "  - {kind: second-tool, pid: 11, to: 0, at: 5ms}\n  - {kind: second-tool, pid: 11, to: 1, at: 8s, every: 3s}\n"
    )
    scenario = tmp_path / "tool.yaml"
    scenario.write_text(SCENARIO.partition("  - {kind: balancing")[0] + tool)

    def calls_within(ns: int) -> int:
        with open_machine(file, scenario) as machine:
            before = machine.moving_calls
            machine.clock.sleep_ns(ns)
            return machine.moving_calls - before

    assert calls_within(1_000_000_000) == 1
    assert calls_within(6_000_000_000) == 0  # at 7 s
    assert calls_within(1_500_000_000) == 1  # at 8.5 s: the shared memory stays, the heap comes
    with open_machine(file) as machine:
        assert set(machine.process(11).regions[0].backing.node.tolist()) == {1}
        move_back = addresses(machine, 0, 0, 256, pid=11)
        SimulatorBackend(machine).move_pages(11, move_back, np.full(256, 4, np.int32))
    assert calls_within(2_000_000_000) == 0  # at 10.5 s
    assert calls_within(1_000_000_000) == 1  # at 11 s


def test_processes_that_ended_stay_ended(file: Path, scenario: Path) -> None:
    with open_machine(file, scenario) as machine:
        free = machine.nodes[4].free_pages
        machine.end(11)
        left = state(machine)
        assert machine.nodes[4].free_pages == free + 256
    with open_machine(file) as machine:
        assert list(machine.processes) == [10]
        assert state(machine) == left
        assert set(machine.process(10).regions[SHARED].backing.sharers.tolist()) == {1}
        machine.end(10)
        assert machine.workloads == []
    with open_machine(file) as machine:
        assert (list(machine.processes), machine.workloads) == ([], [])
        assert machine.nodes[4].free_pages == machine.nodes[4].total_pages


def test_folios_worn_and_split_stay_so(file: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "61.yaml"
    scenario.write_text(SCENARIO.replace("seed: 7", "seed: 7\nkernel: linux-6.12"))
    with open_machine(file, scenario) as machine:
        move(machine, FOLIOS, 0, 512, 4)
        worn = sorted(machine.process(10).regions[FOLIOS].backing.worn)
        assert worn, "nothing was worn by being moved entry by entry"
    with open_machine(file) as machine:
        backing = machine.process(10).regions[FOLIOS].backing
        assert sorted(backing.worn) == worn
        move(machine, FOLIOS, 0, 16, 0)
        assert not backing.flags[:16].any(), "a worn folio is split when it moves again"
        left = sorted(backing.worn)
        assert left == worn[1:]
    with open_machine(file) as machine:
        assert sorted(machine.process(10).regions[FOLIOS].backing.worn) == left


def test_a_file_is_about_as_large_as_what_was_written_to_it(file: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "wide.yaml"
    scenario.write_text(
        "scenario: 1\ntitle: wide\nnodes: [{id: 0, cpus: 0-1, memory: 72GiB}]\n"
        "processes: [{name: db, pid: 10, regions: [{kind: anon, size: 64GiB, nodes: {0: 1}}]}]\n"
    )
    open_machine(file, scenario).close()
    pages = 16 << 20
    about = file.stat()
    assert 3 * pages <= about.st_size < 3.2 * pages
    assert about.st_blocks * 512 < 2.2 * pages
    open_machine(file).close()
    assert file.stat().st_blocks == about.st_blocks, "looking at it filled holes"


def test_a_memory_image_is_that_of_one_boot(file: Path, scenario: Path) -> None:
    images = []
    for machine in (lambda: open_machine(file, scenario), lambda: open_machine(file), lambda: load_machine(scenario)):
        with machine() as opened:
            backend = SimulatorBackend(opened)
            assert isinstance(backend, TellsMemoryImage)
            images.append(backend.memory_image(10))
            assert backend.memory_image(10) == images[-1] != backend.memory_image(11)
    assert images[0] == images[1]
    assert images[2].boot != images[0].boot
    assert images[2].executable == images[0].executable


# One at a time


def in_child(work: Callable[[], None]) -> int:
    """Fork, do it there, and end; the child's pid."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - whatever it is, the test must not go on in the child
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_second_process_is_told_who_has_it(file: Path, scenario: Path, pipe: tuple[int, int]) -> None:
    def hold() -> None:
        with open_machine(file, scenario):
            os.write(pipe[1], b"x")
            signal.pause()

    child = in_child(hold)
    os.read(pipe[0], 1)
    with pytest.raises(RefusedError, match=f"in use by process {child}") as error:
        open_machine(file)
    assert error.value.pid == child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    open_machine(file).close()


def test_one_process_opens_it_once(file: Path, scenario: Path) -> None:
    with open_machine(file, scenario), pytest.raises(RefusedError, match="open in this program already"):
        open_machine(file)
    open_machine(file).close()


def test_a_child_does_not_keep_what_its_parent_had_open(file: Path, scenario: Path, pipe: tuple[int, int]) -> None:
    machine = open_machine(file, scenario)

    def linger() -> None:
        machine.close()  # lets go of nothing
        os.write(pipe[1], b"x")
        signal.pause()

    child = in_child(linger)
    os.read(pipe[0], 1)
    other = in_child(lambda: check_refused(file))
    assert os.waitpid(other, 0)[1] == 0
    machine.close()
    open_machine(file).close()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def check_refused(file: Path) -> None:
    with pytest.raises(RefusedError):
        open_machine(file)


# Killed


def test_killed_at_any_moment_it_is_whole(file: Path, scenario: Path, pipe: tuple[int, int]) -> None:
    with open_machine(file, scenario) as machine:
        present = [int((b.node != ABSENT).sum()) for b in backings(machine)]
        boot, made = machine.boot_id, [b.node.tobytes() for b in backings(machine)]
    chance = random.Random(30)

    def work(ready: int) -> None:
        machine, drawn = open_machine(file), random.Random(os.getpid())
        os.write(ready, b"x")
        while True:
            move(machine, drawn.randrange(4), 16 * drawn.randrange(30), 32, drawn.choice([0, 1, 4]))

    moved = 0
    for _ in range(30):
        child = in_child(lambda: work(pipe[1]))
        os.read(pipe[0], 1)
        threading.Event().wait(chance.uniform(0, 0.05))  # any moment will do
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        with open_machine(file) as machine:
            check_books(machine)
            assert [int((b.node != ABSENT).sum()) for b in backings(machine)] == present
            assert {int(n) for b in backings(machine) for n in np.unique(b.node)} <= {0, 1, 4, ABSENT}
            assert machine.boot_id == boot
            moved += [b.node.tobytes() for b in backings(machine)] != made
    assert moved, "no child got to moving anything"


def test_killed_while_it_is_made_there_is_none(file: Path, scenario: Path) -> None:
    chance = random.Random(5)
    unmade = 0
    for _ in range(20):
        child = in_child(lambda: open_machine(file, scenario).close())
        threading.Event().wait(chance.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        unmade += not file.exists()
        with open_machine(file, scenario) as machine:
            check_books(machine)
        file.unlink()
        assert list(file.parent.glob("*.making")) == []
    assert unmade, "all children were quicker"


# What is no machine, or not the one that is meant


def refused(file: Path, scenario: Path | None = None) -> str:
    with pytest.raises(NumamigError) as error:
        open_machine(file, scenario)
    assert "\n" not in str(error.value)
    assert str(file) in str(error.value)
    assert isinstance(error.value, UsageError)
    return str(error.value)


def test_what_is_no_machine_is_left_alone(file: Path, tmp_path: Path) -> None:
    for content in (b"", b"PK", SCENARIO.encode() * 100):
        file.write_bytes(content)
        assert "is no machine file of numamig" in refused(file)
        assert file.read_bytes() == content
    assert "s a directory" in refused(tmp_path)
    assert "o such file or directory" in refused(tmp_path / "nowhere" / "m.numamig")


def test_a_part_of_a_machine_is_none(file: Path, scenario: Path) -> None:
    open_machine(file, scenario).close()
    size = file.stat().st_size
    for left in (size - 1, size // 2, 5000, 100):
        os.truncate(file, left)
        assert "is cut short" in refused(file)


def test_another_version_and_a_damaged_one(file: Path, scenario: Path) -> None:
    open_machine(file, scenario).close()
    content = file.read_bytes()
    file.write_bytes(content[:16] + (2).to_bytes(8, "little") + content[24:])
    assert "is a machine file of version 2, this numamig reads 1" in refused(file)
    file.write_bytes(content.replace(b"title: kept", b"title: lost"))
    assert "is damaged" in refused(file)


def test_another_scenario_is_refused_and_the_same_is_not(file: Path, scenario: Path, tmp_path: Path) -> None:
    open_machine(file, scenario).close()
    other = tmp_path / "other.yaml"
    other.write_text(SCENARIO.replace("seed: 7", "seed: 8"))
    message = refused(file, other)
    assert f"made from another scenario than {other}" in message
    assert "without a scenario it goes on as it is" in message
    copy = tmp_path / "copy.yaml"
    copy.write_text(SCENARIO)
    open_machine(file, copy).close()


def test_a_scenario_that_cannot_be_built_leaves_no_file(file: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "tight.yaml"
    scenario.write_text(SCENARIO.replace("memory: 128MiB", "memory: 16MiB"))
    with pytest.raises(FileError, match=r"node 0 is .* too small"):
        open_machine(file, scenario)
    scenario.write_text("scenario: 1\nnodes: []\n")
    with pytest.raises(FileError):
        open_machine(file, scenario)
    assert sorted(tmp_path.iterdir()) == [scenario]
