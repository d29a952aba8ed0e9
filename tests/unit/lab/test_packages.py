"""Which packages are missing, and what the operator is told about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from numamig.errors import LabError
from numamig.lab import packages
from numamig.lab.packages import install_command, is_statically_linked, missing_packages


@pytest.fixture
def static_busybox(tmp_path: Path) -> Path:
    program = tmp_path / "busybox"
    program.write_bytes(b"\x7fELF" + bytes(8000) + b"/lib64/ld-linux")
    return program


def test_missing_packages_are_named_after_missing_commands(static_busybox: Path) -> None:
    present = {"busybox": str(static_busybox), "numactl": "/usr/bin/numactl", "file": "/usr/bin/file"}
    assert missing_packages(present.get) == ("qemu-system-x86", "kmod", "zstd", "gcc", "libc6-dev")


def test_dynamic_busybox_counts_as_missing(tmp_path: Path) -> None:
    program = tmp_path / "busybox"
    program.write_bytes(b"\x7fELF" + bytes(600) + b"/lib64/ld-linux-x86-64.so.2\0")
    assert not is_statically_linked(program)
    assert missing_packages(lambda command: str(program)) == ("busybox-static",)


def test_install_command_asks_nothing() -> None:
    assert install_command(("kmod", "zstd"), as_root=False) == [
        *("sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"),
        *("-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"),
        *("install", "--yes", "--no-install-recommends", "kmod", "zstd"),
    ]
    assert install_command(("kmod",), as_root=True)[0] == "env"


def test_without_rights_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = {"apt-get": "/usr/bin/apt-get"}
    monkeypatch.setattr(packages, "missing_packages", lambda: ("qemu-system-x86", "kmod"))
    monkeypatch.setattr(packages, "find_tool", tools.get)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LabError) as caught:
        packages.install_missing_packages()
    assert str(caught.value) == (
        "the laboratory needs these packages: qemu-system-x86 kmod"
        " (run: sudo apt-get install --no-install-recommends qemu-system-x86 kmod)"
    )


def test_without_apt_the_error_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "missing_packages", lambda: ("kmod",))
    monkeypatch.setattr(packages, "find_tool", lambda name: None)
    with pytest.raises(LabError, match=r"needs these packages: kmod .*no apt-get here"):
        packages.install_missing_packages()


def test_nothing_missing_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "missing_packages", lambda: ())
    assert packages.install_missing_packages() == ()
