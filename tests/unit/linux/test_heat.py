"""Heat by DAMON, as far as it takes none: what is watched for many ranges, and that others are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux import damon
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.heat import find_heat
from numamig.errors import RefusedError, TargetGone
from tests.unit.linux.test_doctor_trees import DAMON, NO_RIGHTS, TWO_NODES, damon_files, write

PAGE = 4096
BASE = 0x7F00_0000_0000


def ranges(*pages: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    each = np.array(pages, np.uint64) * np.uint64(PAGE) + np.uint64(BASE)
    return each[:, 0], each[:, 1]


def asked(backend: LinuxBackend) -> np.ndarray:
    return backend.heat(1, *ranges((0, 1)))


def test_where_there_is_no_damon(tmp_path: Path) -> None:
    write(tmp_path, TWO_NODES)
    backend = LinuxBackend(Path("/proc"), tmp_path)
    assert not backend.capabilities.heat
    missing = backend.capabilities.missing["heat"]
    assert missing.startswith("DAMON: not available here, the kernel lacks CONFIG_DAMON_SYSFS")
    with pytest.raises(RefusedError, match="numamig doctor"):
        asked(backend)


@pytest.mark.parametrize(("kdamonds", "update_us"), [("1", "60000"), ("2", "1000003"), ("1", None)])
def test_somebody_elses_set_up_is_left_alone(tmp_path: Path, kdamonds: str, update_us: str | None) -> None:
    files = damon_files("fvaddr") | {f"{DAMON}/nr_kdamonds": kdamonds, f"{DAMON}/0/state": "on"}
    update = next(name for name in files if name.endswith("update_us"))
    if update_us is None:
        del files[update]
    else:
        files[update] = update_us
    write(tmp_path, TWO_NODES | files)
    backend = LinuxBackend(Path("/proc"), tmp_path)
    assert not backend.capabilities.heat
    assert backend.capabilities.missing["heat"].startswith("DAMON is in use by somebody else")
    with pytest.raises(RefusedError, match="in use by somebody else"):
        asked(backend)
    found = find_heat(backend)[0]
    assert found.reason.startswith("DAMON: not available now, in use by somebody else") and found.remedy
    for name, text in files.items():
        assert (tmp_path / name).read_text() == text + "\n"


def test_what_a_killed_numamig_has_left_is_no_obstacle(tmp_path: Path) -> None:
    files = damon_files("fvaddr") | {f"{DAMON}/nr_kdamonds": "1"}
    files[next(name for name in files if name.endswith("update_us"))] = "1000003"
    write(tmp_path, TWO_NODES | files)
    assert LinuxBackend(Path("/proc"), tmp_path).capabilities.heat


def test_who_has_no_memory_is_not_said_to_touch_none_of_it(tmp_path: Path) -> None:
    files = damon_files("fvaddr") | {"2/statm": "0 0 0 0 0 0 0", "self/status": NO_RIGHTS}
    write(tmp_path, TWO_NODES | files)
    backend = LinuxBackend(tmp_path, tmp_path)
    with pytest.raises(RefusedError, match="process 2 has no memory of its own"):
        backend.heat(2, *ranges((0, 1)))
    with pytest.raises(TargetGone):
        backend.heat(3, *ranges((0, 1)))
    assert (tmp_path / DAMON / "nr_kdamonds").read_text().strip() == "0"


def test_few_ranges_are_watched_as_they_are() -> None:
    low, high, region = damon._regions(*ranges((0, 4), (4, 8), (20, 21)))
    assert [list(low), list(high)] == [list(each) for each in ranges((0, 4), (4, 8), (20, 21))]
    assert region.tolist() == [0, 1, 2]


def test_of_many_ranges_neighbours_share_the_longest_stretch() -> None:
    count = 3 * damon.MOST_REGIONS
    pages = [(n, n + 1) for n in range(count)]
    pages[4] = (4, 4)  # nothing of it is there: its neighbours are apart
    low, high, region = damon._regions(*ranges(*pages))
    assert len(low) == damon.MOST_REGIONS
    assert region.tolist() == [n // 3 for n in range(count)]
    assert (high[0] - low[0], high[2] - low[2]) == (3 * PAGE, 3 * PAGE)
    gap = [(0, 1), (5, 6), (6, 7), *((n, n + 1) for n in range(10, count + 7))]
    low, high, _ = damon._regions(*ranges(*gap))
    assert [int(low[0]) - BASE, int(high[0]) - BASE] == [5 * PAGE, 7 * PAGE]


def test_large_ranges_are_watched_in_parts_of_whole_pages() -> None:
    low, high = damon._parts(*ranges((0, 1000), (5000, 5003)))
    assert ((high - low) % PAGE == 0).all() and (high > low).all()
    assert (low[1:] >= high[:-1]).all()
    assert int((high - low).sum()) == 1003 * PAGE
    assert 200 < len(low) <= 512


def test_what_is_told_is_the_mean_by_bytes() -> None:
    seen = ranges((0, 2), (2, 4), (10, 20))
    share = np.array([1.0, 0.0, 0.4], np.float32)
    found = damon._mean(*ranges((0, 2), (1, 4), (3, 15), (30, 40)), *seen, share)
    assert found[:3].tolist() == pytest.approx([1.0, 1 / 3, 5 * 0.4 / 6])
    assert np.isnan(found[3])
    nothing = damon._mean(*ranges((0, 2)), *(each[:0] for each in seen), share[:0])
    assert np.isnan(nothing).all()
