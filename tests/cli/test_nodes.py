"""What ``numamig nodes`` prints of machines that the test wrote, exactly; and of a simulated one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from numamig.backends.linux.backend import LinuxBackend
from numamig.cli.nodes import command
from numamig.cli.options import Shared
from numamig.clock import VirtualClock
from tests.cli.conftest import Numamig
from tests.unit.linux.trees import Roots, cxl_machine, eight_nodes, one_node, write, write_pool, write_zoneinfo

NODES = "devices/system/node"
Run = Callable[..., Result]


class BusyClock(VirtualClock):
    """While it sleeps, the machine goes on."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    def sleep_ns(self, duration_ns: int) -> None:
        super().sleep_ns(duration_ns)
        self.meanwhile()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def run_on(roots: Roots, *arguments: str, meanwhile: Callable[[], None] = lambda: None) -> Result:
        sys_root, proc_root = roots
        backend = LinuxBackend(proc_root, sys_root, clock=BusyClock(meanwhile))
        monkeypatch.setattr(Shared, "open", lambda self: backend)
        return CliRunner().invoke(command, arguments, catch_exceptions=False)

    return run_on


def write_everything(roots: Roots) -> None:
    sys_root, proc_root = roots
    write_zoneinfo(proc_root, [(0, "Normal", (11264, 14080, 16896), 4 << 18), (1, "Normal", (300_000,) * 3, 1 << 20)])
    for node, total, free, surplus in ((0, 64, 12, 0), (1, 1024, 1000, 8)):
        write_pool(sys_root / NODES / f"node{node}", 2048, total, free, surplus)
        write_pool(sys_root / NODES / f"node{node}", 1048576, 0, 0)
    write(proc_root / "sys/kernel/numa_balancing", "2")
    write(proc_root / "sys/vm/numa_stat", "0")
    write(sys_root / "kernel/mm/numa/demotion_enabled", "true")


def test_cxl_with_everything_there_is(run: Run, tmp_path: Path) -> None:
    roots = cxl_machine(tmp_path)
    write_everything(roots)
    assert run(roots).stdout == (
        "node  package  cpus    total   used  used%  free  tier  kind   →0  →1\n"
        "   0        0  0-1     16.0G  12.0G    75%  4.0G     4  -      10  50\n"
        "   1        -  no cpu   4.0G   3.0G    75%  1.0G    22  CXL   255  10\n"
        "\n"
        "node  watermark min    low   high    free is               2M pages free\n"
        "   0          44.0M  55.0M  66.0M     enough                    12 of 64\n"
        "   1           1.1G   1.1G   1.1G  below min  1,000 of 1,024 (8 surplus)\n"
        "\n"
        "node  from    read   write  read rate  write rate\n"
        "   0  0      80 ns   80 ns    87.9G/s     83.0G/s\n"
        "   1  0     250 ns  270 ns    27.3G/s     23.4G/s\n"
        "\n"
        "NUMA balancing tiering, demotion on, allocations not counted (vm.numa_stat)\n"
    )


def test_eight_nodes_have_a_table_of_distances(run: Run, tmp_path: Path) -> None:
    lines = run(eight_nodes(tmp_path)).stdout.splitlines()
    assert lines[0] == "node  package  cpus           total   used  used%   free  tier  kind"
    assert lines[5] == "   4        1  32-39,96-103   64.0G  48.0G    75%  16.0G     -  -"
    assert lines[10].split() == ["distance", *(f"→{node}" for node in range(8))]
    assert lines[15].split() == ["4", "32", "32", "32", "32", "10", "12", "12", "12"]
    assert len(lines) == 19
    assert max(map(len, lines)) <= 80


def test_a_kernel_that_tells_little_gets_a_short_answer(run: Run, tmp_path: Path) -> None:
    done = run(one_node(tmp_path))
    assert done.stdout.count("\n") == 2
    assert "one memory node" in done.stderr


def test_json_has_all_of_it(run: Run, tmp_path: Path) -> None:
    roots = cxl_machine(tmp_path)
    write_everything(roots)
    write(roots[0] / NODES / "node1/numastat", "numa_hit 12\nother_node 3")
    document = json.loads(run(roots, "--json").stdout)
    dram, cxl = document["nodes"]
    assert (dram["packages"], cxl["packages"], cxl["label"], cxl["tier"]) == ([0], [], "CXL", 22)
    assert cxl["performance"] == {
        "initiators": [0],
        "read_latency_ns": 250,
        "write_latency_ns": 270,
        "read_bandwidth_mib": 28_000,
        "write_bandwidth_mib": 24_000,
    }
    assert dram["watermarks"] == {"min_bytes": 11264 << 12, "low_bytes": 14080 << 12, "high_bytes": 16896 << 12}
    assert dram["huge_pools"] == [
        {"page_bytes": 2 << 20, "total": 64, "free": 12, "surplus": 0},
        {"page_bytes": 1 << 30, "total": 0, "free": 0, "surplus": 0},
    ]
    assert cxl["numastat"] == {"numa_hit": 12, "other_node": 3}
    assert document["switches"] == {"balancing": 2, "demotion": True, "numastat": False}
    assert document["rates"] is None


def test_rates_between_two_looks(run: Run, tmp_path: Path) -> None:
    roots = cxl_machine(tmp_path)
    numastat, vmstat = roots[0] / NODES / "node1/vmstat", roots[1] / "vmstat"

    def count(times: int) -> None:
        write(numastat, f"nr_free_pages 1000\nnuma_hit {5 * times}\nnuma_miss 0\npgdemote_kswapd {4000 * times}")
        write(vmstat, f"numa_hit {5 * times}\nnuma_miss 0\npgmigrate_success {6000 * times}\npgfault {times}")

    count(1)
    done = run(roots, "--interval", "2s", meanwhile=lambda: count(2))
    assert done.stdout.splitlines()[-4:] == [
        "per second, over 2.0 s  node 1  machine",
        "numa_hit                   2.5      2.5",
        "pgdemote_kswapd          2,000        -",
        "pgmigrate_success            -    3,000",
    ]
    document = json.loads(run(roots, "--interval", "2s", "--json", meanwhile=lambda: count(3)).stdout)
    assert document["rates"] == {
        "seconds": 2.0,
        "machine": {"numa_hit": 2.5, "numa_miss": 0.0, "pgmigrate_success": 3000.0},
        "nodes": {"1": {"numa_hit": 2.5, "numa_miss": 0.0, "pgdemote_kswapd": 2000.0}},
    }


def test_a_simulated_machine_keeps_a_reserve_and_rests(numamig: Numamig) -> None:
    done = numamig.small("nodes", "--interval", "1s")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[5].split() == ["node", "watermark", "min", "low", "high"]
    assert lines[6].split() == ["0", "652K", "815K", "978K"]
    assert lines[-3:] == ["NUMA balancing off, demotion off", "", "nothing was allocated, moved or scanned in 1.0 s"]
    wrong = numamig.small("nodes", "--interval", "soon")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "'soon' is not a duration" in wrong.stderr
