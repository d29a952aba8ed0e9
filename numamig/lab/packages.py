"""Which distribution packages the laboratory needs, which are missing, and how to install them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from numamig.errors import LabError
from numamig.lab.tools import find_tool, run_tool

__all__ = [
    "PACKAGE_BY_COMMAND",
    "install_command",
    "install_missing_packages",
    "is_statically_linked",
    "missing_packages",
]

PACKAGE_BY_COMMAND = {
    "qemu-system-x86_64": "qemu-system-x86",
    "numactl": "numactl",
    "depmod": "kmod",
    "busybox": "busybox-static",
    "file": "file",
    "zstd": "zstd",
    "cc": "gcc libc6-dev",
}
"""Command to look for, and the Debian packages that bring it.

``busybox`` and ``depmod`` build the initramfs that a distribution kernel needs to reach its root; ``file`` tells
virtme-ng the version of a kernel image; ``zstd`` unpacks compressed modules; ``numactl`` and ``cc`` are for what runs
inside the machine, which sees the host's files: the benchmarks compare with C.
"""

_APT_OPTIONS = (
    "-o",
    "DPkg::Lock::Timeout=120",
    "-o",
    "Acquire::Retries=3",
)


def is_statically_linked(program: Path) -> bool:
    """Whether an ELF program runs without a dynamic loader, whose name would be near its start."""
    with program.open("rb") as stream:
        return b"/ld-" not in stream.read(4096)


def missing_packages(find: Callable[[str], str | None] = find_tool) -> tuple[str, ...]:
    """The packages whose command ``find`` does not find, in the order of the table.

    A busybox that needs shared libraries counts as missing: the initramfs has none.
    """
    missing = []
    for command, package in PACKAGE_BY_COMMAND.items():
        path = find(command)
        if path is None or (command == "busybox" and not is_statically_linked(Path(path))):
            missing += package.split()
    return tuple(missing)


def install_command(packages: tuple[str, ...], *, as_root: bool) -> list[str]:
    """The command that installs ``packages`` without asking anything and without their recommendations."""
    prefix = [] if as_root else ["sudo", "-n"]
    return [
        *prefix,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        *_APT_OPTIONS,
        "install",
        "--yes",
        "--no-install-recommends",
        *packages,
    ]


def install_missing_packages(narrate: Callable[[str], object] = lambda _line: None) -> tuple[str, ...]:
    """Install what is missing and return the names of the packages installed, none if nothing was missing.

    Raises LabError, which names the packages and the command to type, when there is no apt here, when there
    are no rights to install, or when the installation fails.
    """
    missing = missing_packages()
    if not missing:
        return ()
    as_root = os.geteuid() == 0
    _require_rights(missing, as_root)
    narrate(f"installing {', '.join(missing)}")
    try:
        run_tool(install_command(missing, as_root=as_root))
    except LabError:
        # Most likely the package lists are absent, as in container images, or too old: renew them.
        prefix = [] if as_root else ["sudo", "-n"]
        run_tool([*prefix, "apt-get", *_APT_OPTIONS, "update"])
        run_tool(install_command(missing, as_root=as_root))
    still_missing = missing_packages()
    if still_missing:
        raise LabError(f"{', '.join(still_missing)}: installed, but the commands are still not found")
    return missing


def _require_rights(missing: tuple[str, ...], as_root: bool) -> None:
    names = " ".join(missing)
    if find_tool("apt-get") is None:
        raise LabError(
            f"the laboratory needs these packages: {names}",
            hint="there is no apt-get here: install them under their names in this distribution",
        )
    if as_root:
        return
    wanted = f"run: sudo apt-get install --no-install-recommends {names}"
    if find_tool("sudo") is None:
        raise LabError(f"the laboratory needs these packages: {names}", hint=wanted)
    try:
        run_tool(["sudo", "-n", "true"])
    except LabError as error:
        raise LabError(f"the laboratory needs these packages: {names}", hint=wanted) from error
