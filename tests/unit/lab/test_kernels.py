"""Choosing a kernel among package names, and finding it again in the cache."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from numamig.errors import LabError
from numamig.lab.kernels import KernelImage, default_cache_directory, fetch_kernel, newest_of_series

NAMES = [
    "linux-image-6.1.0-9-amd64",
    "linux-image-6.1.0-56-amd64",
    "linux-image-6.1.0-57-amd64-dbg",
    "linux-image-6.1.0-57-amd64-unsigned",
    "linux-image-6.1.0-57-cloud-amd64",
    "linux-image-6.1.0-57-rt-amd64",
    "linux-image-6.12.9+deb12-amd64",
    "linux-image-6.12.90+deb12-amd64",
    "linux-image-6.12.90+deb12.1-amd64",
    "linux-image-amd64",
]


@pytest.mark.parametrize(
    ("series", "newest"),
    [
        ("6.1", "linux-image-6.1.0-56-amd64"),
        ("6.12", "linux-image-6.12.90+deb12.1-amd64"),
        ("6.2", None),
    ],
)
def test_newest_plain_kernel_of_a_series(series: str, newest: str | None) -> None:
    assert newest_of_series(NAMES, series, "amd64") == newest


def test_newest_of_another_flavour() -> None:
    names = ["linux-image-6.8.0-9-generic", "linux-image-6.8.0-31-generic", "linux-image-6.8.0-40-lowlatency"]
    assert newest_of_series(names, "6.8", "generic") == "linux-image-6.8.0-31-generic"


def test_cached_kernel_is_used_without_asking_anyone(tmp_path: Path) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("capability missing: x86_64 kernels")
    release = platform.freedesktop_os_release()
    boot = tmp_path / f"{release['ID']}-{release.get('VERSION_ID', 'rolling')}-linux-6.1" / "boot"
    boot.mkdir(parents=True)
    image = boot / "vmlinuz-6.1.0-1-amd64"
    image.touch()
    said: list[str] = []
    assert fetch_kernel("6.1", tmp_path, said.append) == KernelImage("6.1.0-1-amd64", image)
    assert said == []


@pytest.mark.parametrize("series", ["", "6", "../6.1", "newest"])
def test_nonsense_series_is_refused(series: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no kernel series"):
        fetch_kernel(series, tmp_path)


def test_cache_directory_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_directory() == tmp_path / "numamig" / "lab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_directory() == tmp_path / ".cache" / "numamig" / "lab"
