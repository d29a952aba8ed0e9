"""``numamig drain`` on a real kernel: then /proc/PID/numa_maps shows nothing on the node but what cannot leave it."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from numamig.cli import main
from tests.lab.back_door import pages_by_node
from tests.lab.children import (
    BIND,
    DEFAULT,
    PAGE,
    PAGES,
    START,
    Child,
    checked,
    child_of,
    libc,
    make_area,
    set_policy,
)

EMPTIED = 2
MIB = 1 << 20
PROT_READ_WRITE, MAP_SHARED_ANON_FIXED = 3, 0x01 | 0x20 | 0x100000
Fork = Callable[[Callable[[], object]], Child]


@pytest.fixture
def fork() -> Iterator[Fork]:
    children: list[Child] = []

    def forked(work: Callable[[], object]) -> Child:
        children.append(child_of(work))
        return children[-1]

    yield forked
    for child in children:
        child.end()


@pytest.fixture
def drain(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, Any]]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def call(*arguments: str) -> tuple[int, Any]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"])
        out, err = capsys.readouterr()
        assert out, err
        return int(ended.value.code or 0), json.loads(out)

    return call


def fill(pages: int = PAGES) -> None:
    """Memory on the node that is bound to none any more, as that of most processes."""
    set_policy(BIND, (EMPTIED,))
    make_area(policy=DEFAULT, pages=pages)
    set_policy(DEFAULT, ())


def chosen(*children: Child) -> list[str]:
    return [word for child in children for word in ("--pid", str(child.pid))]


def test_every_process_leaves_the_node(fork: Fork, drain: Callable[..., tuple[int, Any]]) -> None:
    sizes = (PAGES, 4 * PAGES, 2 * PAGES)
    children = [fork(partial(fill, pages)) for pages in sizes]

    def areas() -> list[dict[int, int]]:
        return [child.area(pages=pages) for child, pages in zip(children, sizes, strict=True)]

    there = [{EMPTIED: pages} for pages in sizes]
    assert areas() == there
    code, told = drain("drain", "2", "--to", "0,1", "--dry-run")
    planned = {each["pid"]: each for each in told["processes"]}
    assert (code, areas()) == (0, there)
    assert all(planned[c.pid]["bytes"] >= pages * PAGE for c, pages in zip(children, sizes, strict=True))

    code, drained = drain("drain", "2", "--to", "0,1")
    assert [sum(area.values()) for area in areas()] == list(sizes)
    remains = {each["pid"]: each["bytes"] for each in drained["remains"]}
    for child in children:  # all of it, and not what was made for the purpose only
        assert pages_by_node(child.pid).get(EMPTIED, 0) * PAGE == remains.get(child.pid, 0)
    assert [EMPTIED in area for area in areas()] == [False] * 3
    jobs = {job["pid"]: job for job in drained["jobs"]}
    assert all(jobs[c.pid]["outcomes"]["moved"] >= pages for c, pages in zip(children, sizes, strict=True))
    assert code == (1 if remains or drained["locked"] else 0)

    code, _ = drain("undo", str(jobs[children[1].pid]["job"]))
    assert (code, areas()[1]) == (0, there[1])
    assert EMPTIED not in areas()[0]


def test_shared_pages_wait_for_the_option(fork: Fork, drain: Callable[..., tuple[int, Any]]) -> None:
    """Made here and inherited, so that all three map them; numa_maps counts them for each."""
    size = PAGES * PAGE
    checked(libc.mmap(START, size, PROT_READ_WRITE, MAP_SHARED_ANON_FIXED, -1, 0))
    set_policy(BIND, (EMPTIED,))
    ctypes.memset(START, 7, size)
    set_policy(DEFAULT, ())
    touch = lambda: ctypes.string_at(START, size)  # noqa: E731 - of one use
    one, two = fork(touch), fork(touch)
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    checked(libc.munmap(START, size))
    assert one.area() == two.area() == {EMPTIED: PAGES}

    code, kept = drain("drain", "2", "--to", "1", *chosen(one, two))
    assert (code, one.area()) == (1, {EMPTIED: PAGES})
    assert {each["pid"]: "--shared" in each["why"] for each in kept["remains"]} == {one.pid: True, two.pid: True}

    code, moved = drain("drain", "2", "--to", "1", "--shared", *chosen(one, two))
    assert (code, moved["remains"]) == (0, [])
    assert one.area() == two.area() == {1: PAGES}
    assert [job["outcomes"]["moved"] for job in moved["jobs"]] == [PAGES]


def test_bound_memory_stays_and_the_rest_goes(fork: Fork, drain: Callable[..., tuple[int, Any]]) -> None:
    def work() -> None:
        fill()
        make_area(1, BIND, (EMPTIED,))

    child = fork(work)
    code, drained = drain("drain", "2", "--to", "0", *chosen(child))
    assert (code, child.area(0), child.area(1)) == (1, {0: PAGES}, {EMPTIED: PAGES})
    (remains,) = drained["remains"]
    assert remains["bytes"] == PAGES * PAGE
    assert "bound away from node 0" in remains["why"]


def test_what_nobody_maps_is_told_by_kind(drain: Callable[..., tuple[int, Any]]) -> None:
    def cache() -> int:
        _, told = drain("drain", "2", "--dry-run")
        return next((each["bytes"] for each in told["unmovable"] if each["kind"] == "cache"), 0)

    before = cache()
    path = Path("/dev/shm/drained")
    set_policy(BIND, (EMPTIED,))
    path.write_bytes(b"7" * (16 * MIB))
    set_policy(DEFAULT, ())
    during = cache()
    path.unlink()
    assert 15 * MIB <= during - before <= 17 * MIB
    assert abs(cache() - before) <= MIB
