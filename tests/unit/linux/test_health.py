"""Pressure and swap-out of machines that the test wrote, and of kernels that do not tell."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from numamig.backends.base import TellsHealth
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.health import parse_stalled, read_health
from numamig.clock import VirtualClock
from numamig.model.topology import Health
from tests.unit.linux.trees import Roots, cxl_machine, one_node, write

PRESSURE = """\
some avg10=61.20 avg60=20.11 avg300=5.02 total=81726354
full avg10=42.50 avg60=11.07 avg300=2.98 total=51726354"""
VMSTAT = """\
nr_free_pages 1000
pswpin 11
pswpout 4711
pgalloc_dma 0"""


def read(roots: Roots, at_ns: int = 0) -> Health:
    clock = VirtualClock()
    clock.sleep_ns(at_ns)
    return read_health(roots[1], clock)


def test_a_machine_under_pressure(tmp_path: Path) -> None:
    roots = one_node(tmp_path)
    write(roots[1] / "pressure/memory", PRESSURE)
    write(roots[1] / "vmstat", VMSTAT)
    assert read(roots, 5) == Health(5, 0.425, 4711)


def test_a_kernel_without_psi_and_without_swap(tmp_path: Path) -> None:
    roots = one_node(tmp_path)
    write(roots[1] / "vmstat", "nr_free_pages 1000\npgalloc_dma 0")
    assert read(roots) == Health(0, None, 0)


def test_psi_that_is_switched_off_answers_eopnotsupp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As psi=0 on the command line does it where the file exists."""
    roots = one_node(tmp_path)
    write(roots[1] / "pressure/memory", PRESSURE)
    write(roots[1] / "vmstat", VMSTAT)
    real = Path.read_text

    def refuse(path: Path, *how: object, **more: object) -> str:
        if path.name == "memory":
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, *how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", refuse)
    assert read(roots) == Health(0, None, 4711)


@pytest.mark.parametrize(
    ("text", "stalled"),
    [
        ("", None),
        ("some avg10=61.20 avg60=20.11 avg300=5.02 total=81726354", None),
        (PRESSURE.replace("42.50", "0.00"), 0.0),
        (PRESSURE.replace("42.50", "100.00"), 1.0),
        ("full avg10=what avg60=0.00 avg300=0.00 total=0", None),
    ],
)
def test_the_line_for_all(text: str, stalled: float | None) -> None:
    assert parse_stalled(text) == stalled


def test_the_backend_reads_below_its_own_root(tmp_path: Path) -> None:
    roots = cxl_machine(tmp_path)
    write(roots[1] / "pressure/memory", PRESSURE)
    backend = LinuxBackend(roots[1], roots[0], clock=VirtualClock())
    assert isinstance(backend, TellsHealth)
    assert backend.health() == Health(0, 0.425, 0)
