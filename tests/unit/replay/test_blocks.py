"""Steps inside of steps, what they take back, and what the report says of where pages are."""

from __future__ import annotations

import os
from typing import Any

import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import PAGE
from numamig.backends.simulator.process import Caller
from numamig.errors import FileError, RefusedError, TargetGone
from numamig.migrate.job import Job
from numamig.migrate.plan import Plan
from numamig.model.events import Event, JobEnded
from numamig.model.outcome import Outcome
from numamig.replay.load import parse_profile
from numamig.replay.report import Report
from numamig.replay.run import plan_profile, run_profile
from numamig.replay.schema import ProcessSelector
from numamig.replay.select import find_processes, request_for
from tests.machines import add_process, machine, pages_by_node


def replay(backend: SimulatorBackend, steps: str, **how: Any) -> Report:
    lines = "\n".join(f"  {line}" for line in steps.strip().split("\n"))
    return run_profile(backend, *parse_profile("p.yaml", f"numamig: 1\nsteps:\n{lines}\n".encode()), **how)


def three() -> tuple[SimulatorBackend, list[Any]]:
    backend = machine()
    return backend, [add_process(backend, [0] * 100, pid=pid)[0] for pid in (10, 20, 30)]


def test_steps_are_done_for_each_process_and_expectations_are_about_it() -> None:
    backend, backings = three()
    report = replay(
        backend,
        """
- for_each:
    process: {name: workload}
    steps:
      - migrate: {pages: {most: 60}, to: 1}
      - expect: {chosen: "== 60", moved: "== 100%", in_place: "== 100%"}
""",
    )
    assert [pages_by_node(backing) for backing in backings] == [{0: 40, 1: 60}] * 3
    blocks: Any = report.steps[0]["for_each"]
    assert [(block["pid"], block["name"]) for block in blocks] == [(pid, "workload") for pid in (10, 20, 30)]
    assert [[verdict["actual"] for verdict in block["steps"][1]["expect"]] for block in blocks] == [
        ["60", "100.00%", "100.00%"]
    ] * 3
    assert report.passed


def test_one_that_cannot_be_moved_leaves_the_rest_of_its_block_and_the_others() -> None:
    def not_20(plan: Plan) -> None:
        if plan.process.pid == 20:
            raise RefusedError("not this one")

    backend, backings = three()
    steps = "- for_each:\n    process: {name: workload}\n    steps: [{migrate: {to: 1}}, {migrate: {to: 2}}]"
    report = replay(backend, steps, approve=not_20)
    assert [pages_by_node(backing) for backing in backings] == [{2: 100}, {0: 100}, {2: 100}]
    blocks: Any = report.steps[0]["for_each"]
    assert [block.get("error") for block in blocks] == [None, "not this one", None]
    assert len(blocks[1]["steps"]) == 1
    assert not report.passed and report.error is None


def test_which_says_otherwise() -> None:
    backend, backings = three()
    replay(backend, "- for_each:\n    process: {name: workload, which: largest}\n    steps: [{migrate: {to: 1}}]")
    assert [pages_by_node(backing) for backing in backings] == [{1: 100}, {0: 100}, {0: 100}]


def test_repeated_steps_are_numbered_on() -> None:
    backend, (backing, *_) = three()
    steps = "- repeat: {times: 3, steps: [{migrate: {process: {pid: 10}, pages: {from: 0, most: 20}, to: 1}}]}"
    report = replay(backend, steps)
    assert pages_by_node(backing) == {0: 40, 1: 60}
    turns: Any = report.steps[0]["repeat"]
    assert [turn[0]["migrate"][0]["job"] for turn in turns] == [1, 2, 3]


MOVES = """
- migrate: {process: {pid: 10}, pages: {most: 30}, to: 1}
- migrate: {process: {pid: 10}, pages: {from: 0, most: 30}, to: 2}
- migrate: {process: {pid: 20}, to: 1}
"""


@pytest.mark.parametrize(
    ("undo", "first", "second", "undone"),
    [
        ("last", {0: 40, 1: 30, 2: 30}, {0: 100}, [3]),
        ("all", {0: 100}, {0: 100}, [3, 2, 1]),
        ("{step: 1}", {0: 70, 2: 30}, {1: 100}, [1]),
        ("{step: 2}", {0: 70, 1: 30}, {1: 100}, [2]),
    ],
)
def test_what_the_run_moved_is_taken_back(
    undo: str, first: dict[int, int], second: dict[int, int], undone: list[int]
) -> None:
    backend, backings = three()
    report = replay(backend, f"{MOVES.strip()}\n- undo: {undo}")
    assert [pages_by_node(backing) for backing in backings[:2]] == [first, second]
    said: Any = report.steps[3]["undo"]
    assert [job["undoes"] for job in said] == undone
    assert [job["job"] for job in said] == [4 + n for n in range(len(undone))]
    assert report.outcomes[Outcome.MOVED] == 160  # of the migrations alone
    assert report.passed


def test_what_was_taken_back_is_not_taken_back_again() -> None:
    backend, backings = three()
    report = replay(backend, f"{MOVES.strip()}\n- undo: last\n- undo: last\n- undo: all\n- undo: all")
    assert [[job["undoes"] for job in step["undo"]] for step in report.steps[3:]] == [[3], [2], [1], []]  # type: ignore[attr-defined]
    assert [pages_by_node(backing) for backing in backings] == [{0: 100}] * 3


def test_a_job_that_moved_nothing_is_no_hindrance() -> None:
    backend, (backing, *_) = three()
    steps = "- migrate: {process: {pid: 10}, to: 1}\n- migrate: {process: {pid: 10}, to: 1}\n- undo: all"
    report = replay(backend, steps)
    assert report.steps[2]["undo"][0] == {"undoes": 2, "nothing": "it moved no page"}  # type: ignore[index]
    assert pages_by_node(backing) == {0: 100}


def test_inside_of_for_each_only_what_was_done_to_that_process_is_taken_back() -> None:
    backend, backings = three()
    steps = """
- migrate: {process: {pid: 10}, to: 1}
- for_each:
    process: {name: workload}
    steps:
      - migrate: {to: 2}
      - undo: {step: 1}
"""
    replay(backend, steps)
    assert [pages_by_node(backing) for backing in backings] == [{1: 100}, {0: 100}, {0: 100}]


def test_a_process_that_ended_is_not_there_to_be_put_back_and_the_others_are() -> None:
    backend, backings = three()

    def observe(job: Job, event: Event) -> None:
        if isinstance(event, JobEnded) and job.number == 2:
            backend.machine.end(20)

    steps = "- migrate: {process: {name: workload, which: all}, to: 1}\n- undo: all"
    report = replay(backend, steps, observe=observe)
    assert [pages_by_node(backings[n]) for n in (0, 2)] == [{0: 100}, {0: 100}]
    said: Any = report.steps[1]["undo"]
    assert [(job["undoes"], "error" in job) for job in said] == [(3, False), (2, True), (1, False)]
    assert [type(failure) for failure in report.failures] == [TargetGone]


def test_each_job_is_looked_at_when_it_has_ended() -> None:
    backend, (backing, *_) = three()

    def observe(_job: Job, event: Event) -> None:
        if isinstance(event, JobEnded):
            backing.node[:7] = 2  # somebody else moves some of them at once

    report = replay(
        backend,
        '- migrate: {process: {pid: 10}, to: 1}\n- expect: {moved: "== 100", in_place: ">= 95%"}',
        observe=observe,
    )
    jobs: Any = report.steps[0]["migrate"]
    assert jobs[0]["verified"] == {"in_place_pages": 93, "elsewhere": {"2": 7}, "absent_pages": 0}
    verdicts: Any = report.steps[1]["expect"]
    assert [(verdict["what"], verdict["holds"]) for verdict in verdicts] == [("moved", True), ("in_place", False)]


def test_a_wait_ends_when_there_is_room_or_when_it_has_lasted_long_enough() -> None:
    backend, _ = three()
    free = backend.node_counters().free_bytes[1]
    began = backend.clock.now_ns()
    report = replay(backend, f"- wait: {{until: {{free: {{1: {free}}}}}}}\n- wait: 3s")
    assert [step["wait"] for step in report.steps] == [0.0, 3.0]
    assert backend.clock.now_ns() - began == 3 * 10**9
    report = replay(backend, f"- wait: {{until: {{free: {{1: {free + PAGE}}}}}, at_most: 5s, every: 2s}}\n- wait: 1s")
    assert isinstance(report.error, RefusedError) and "waited 5.0 s" in str(report.error)
    assert len(report.steps) == 1
    with pytest.raises(FileError, match=r"p\.yaml:3:20: node 77 does not exist"):
        replay(backend, "- wait: {until: {free: {77: 1}}}")


@pytest.mark.parametrize("asked", ["order: hottest", "order: {mode: coldest}", "pages: {heat: '>= 1%'}"])
def test_nothing_moves_where_heat_is_asked_for_and_not_known(asked: str) -> None:
    backend = machine(caller=Caller("root", sys_admin=False))
    (backing,) = add_process(backend, [0] * 100, pid=10)
    steps = f"- migrate: {{process: {{pid: 10}}, to: 1}}\n- migrate: {{process: {{pid: 10}}, to: 2, {asked}}}"
    with pytest.raises(RefusedError, match="heat is not known here"):
        replay(backend, steps)
    assert pages_by_node(backing) == {0: 100}


def request(backend: SimulatorBackend, said: str) -> Any:
    text = f"numamig: 1\nsteps:\n  - migrate: {{process: {{pid: 10}}, {said}}}\n"
    profile, _ = parse_profile("p.yaml", text.encode())
    migrate = profile.steps[0].migrate
    assert migrate is not None
    return request_for(backend, migrate, backend.process(10))


@pytest.mark.parametrize(
    ("said", "to"),
    [
        ("to: 1", {"node": 1}),
        ("to: {node: 1}", {"node": 1}),
        ("interleave: all", {"interleave": [0, 1, 2], "unit_bytes": 0}),
        ("to: {interleave: [2, 0]}", {"interleave": [0, 2], "unit_bytes": 0}),
        ("weights: {2: 1, 1: 3}", {"weights": {"1": 3, "2": 1}, "unit_bytes": 0}),
        ("to: {map: {1: 2, 0: 1}}", {"map": {"0": 1, "1": 2}}),
        ("follow: cpus", {"follow": "cpus"}),
    ],
)
def test_where_to(said: str, to: dict[str, Any]) -> None:
    backend, _ = three()
    assert request(backend, said).to.as_dict() == to


def test_which_pages_in_which_order() -> None:
    backend, _ = three()
    asked = request(
        backend,
        "to: 1, shared: true, order: {mode: random, seed: 9}, pages: {from: '!1', kind: heap, path: [a, 'b*'], "
        "address: [0x3000-0x4000, 1000-0x2000], at_least: 1M, at_most: 2M, huge: false, heat: '<= 5%', "
        "mapped: private, most: 64KiB}",
    )
    assert (asked.sources, asked.paths, asked.within) == ((0, 2), ("a", "b*"), [(0x1000, 0x2000), (0x3000, 0x4000)])
    assert (asked.least_region_bytes, asked.most_region_bytes, asked.huge) == (1 << 20, 2 << 20, False)
    assert (asked.heat.least, asked.heat.most, asked.mapped.value, asked.most_pages) == (0.0, 0.05, "private", 16)
    assert (asked.order.mode.value, asked.order.seed, asked.shared) == ("random", 9, True)
    assert request(backend, "to: 1, pages: {most: 100}").most_pages == 100


def test_planned_is_what_is_inside_of_blocks_too() -> None:
    backend, _ = three()
    text = b"""numamig: 1
steps:
  - repeat: {times: 5, steps: [{migrate: {process: {pid: 10}, to: 1}}]}
  - for_each: {process: {name: workload}, steps: [{migrate: {to: 2}}, {undo: last}]}
"""
    plans = plan_profile(backend, *parse_profile("p.yaml", text))
    assert [(plan.process.pid, str(plan.request.to)) for plan in plans] == [
        (10, "1"), (10, "2"), (20, "2"), (30, "2"),
    ]  # fmt: skip


def test_processes_by_control_group() -> None:
    backend = LinuxBackend()
    mine = backend.process_facts(os.getpid()).cgroup
    if not mine:
        pytest.skip("no control groups here")
    top = "/" + mine.strip("/").split("/")[0]
    for wanted in (mine, top, "/", f"{mine[:-1]}?" if len(mine) > 1 else "/*", "*"):
        assert find_processes(backend, ProcessSelector(pid=os.getpid(), cgroup=wanted)), wanted
    for wanted in (f"{mine.rstrip('/')}/below", f"{mine.rstrip('/')}x", "/no-?uch"):
        with pytest.raises(TargetGone, match="no process has pid"):
            find_processes(backend, ProcessSelector(pid=os.getpid(), cgroup=wanted))
