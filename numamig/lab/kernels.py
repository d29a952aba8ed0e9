"""Kernels to boot: the distribution's own packages, unpacked into a cache and never installed.

A series is ``distribution`` (what the release installs by default) or a version such as ``6.1`` or ``6.12``,
looked for first in the release and then in its backports.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from numamig.errors import LabError
from numamig.lab.apt import PrivateApt, open_private_apt
from numamig.lab.apt_sources import AptSource, backports_source, configured_targets, release_sources
from numamig.lab.tools import run_tool

__all__ = ["KernelImage", "default_cache_directory", "demand_series", "fetch_kernel", "newest_of_series"]

_FLAVOURS = {"debian": "amd64", "ubuntu": "generic"}
_PARTS = re.compile(r"linux-(image|binary|modules|modules-extra)-\d")


@dataclass(frozen=True, slots=True)
class KernelImage:
    """One unpacked kernel; its modules lie in ``lib/modules/VERSION`` of the same tree."""

    version: str
    """What ``uname -r`` says in it, for example ``6.1.0-56-amd64``."""
    vmlinuz: Path


def default_cache_directory() -> Path:
    """``$XDG_CACHE_HOME/numamig/lab``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "numamig" / "lab"


def fetch_kernel(
    series: str,
    cache_directory: Path | None = None,
    narrate: Callable[[str], object] = lambda _line: None,
) -> KernelImage:
    """The kernel of ``series``, from the cache or else downloaded with apt; needs no root.

    A kernel once cached is used as it is, without the network; delete its directory to get a newer one. An
    unfinished download never becomes visible. Raises LabError when this distribution does not offer the
    series, or when apt or dpkg fails.
    """
    demand_series(series)
    if platform.machine() != "x86_64":
        raise LabError(f"the laboratory boots x86_64 kernels only, this is {platform.machine()}")
    release = platform.freedesktop_os_release()
    # Resolved, because virtme-ng resolves the image but not its modules, and both must be in one tree.
    cache = (cache_directory or default_cache_directory()).expanduser().resolve()
    tree = cache / f"{release.get('ID', 'unknown')}-{release.get('VERSION_ID', 'rolling')}-linux-{series}"
    if not tree.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as partial:
            try:
                _build_tree(series, release, Path(partial), narrate)
            except LabError as error:
                raise _with_hint(error, cache) from error
            try:
                (Path(partial) / "tree").rename(tree)
            except OSError:
                # Somebody else finished the same kernel meanwhile; theirs is as good.
                if not tree.is_dir():
                    raise
    return _image_in(tree)


def demand_series(series: str) -> None:
    """Raises LabError where that names no kernel anywhere."""
    if series != "distribution" and not re.fullmatch(r"\d+\.\d+", series):
        raise LabError(f"no kernel series {series!r}", hint="distribution, or a version such as 6.1 or 6.12")


def _with_hint(error: LabError, cache: Path) -> LabError:
    """What to do where the archive did not answer, if nothing better is said."""
    have = ", ".join(sorted(tree.name.rpartition("-linux-")[2] for tree in cache.glob("*-linux-*")))
    hint = "it comes from the archive that apt on this machine is set up for: is the network there? sudo apt-get update"
    return LabError(error.message, hint=error.hint or f"{hint}{f'; fetched already: {have}' if have else ''}")


def newest_of_series(names: Iterable[str], series: str, flavour: str) -> str | None:
    """Of names such as ``linux-image-6.1.0-56-amd64``, the newest of a series in exactly this flavour.

    Debug, unsigned, cloud and real-time packages have another ending, so they never match.
    """
    pattern = re.compile(rf"linux-image-({re.escape(series)}\.\d[\w.+~]*(?:-\d+)?)-{re.escape(flavour)}")
    matches = [match for match in map(pattern.fullmatch, names) if match]
    newest = max(matches, key=lambda match: [int(number) for number in re.findall(r"\d+", match[1])], default=None)
    return newest[0] if newest else None


def _build_tree(series: str, release: dict[str, str], partial: Path, narrate: Callable[[str], object]) -> None:
    """Make ``partial``/tree, with the modules' dependencies worked out."""
    downloads = partial / "packages"
    tree = partial / "tree"
    for directory in (downloads, tree):
        directory.mkdir()
    apt, image_package = _find(series, release, partial, narrate)
    narrate(f"fetching {image_package}")
    for package in apt.download(_parts_of(apt, image_package), downloads):
        run_tool(["dpkg-deb", "-x", str(package), str(tree)])
    _join_module_directories(tree)
    # Done here and not at the first boot, so that machines booted side by side do not write the same files.
    run_tool(["depmod", "-b", str(tree), _image_in(tree).version])
    shutil.rmtree(downloads)


def _find(
    series: str, release: dict[str, str], partial: Path, narrate: Callable[[str], object]
) -> tuple[PrivateApt, str]:
    """The apt that offers ``series``, and the name of the image package there."""
    codename = release.get("VERSION_CODENAME")
    flavour = _FLAVOURS.get(release.get("ID", ""))
    if codename is None or flavour is None:
        raise LabError(
            f"kernels can be fetched on Debian and Ubuntu only, this is {release.get('NAME', 'unknown')}",
            hint="boot a kernel image of your own instead",
        )
    targets = configured_targets()
    texts = {
        target.source_file: target.source_file.read_text(encoding="utf-8")
        for target in targets
        if target.source_file.is_file()
    }
    narrate(f"looking for linux {series} in {codename}")
    apt = _open(partial / "release", release_sources(targets, codename, texts))
    if series == "distribution":
        images = [name for name in apt.dependencies(f"linux-image-{flavour}") if _PARTS.match(name)]
        if not images:
            raise LabError(f"linux-image-{flavour} of {codename} names no kernel")
        return apt, images[0]
    package = newest_of_series(apt.package_names("linux-image-"), series, flavour)
    if package is None:
        narrate(f"looking for linux {series} in {codename}-backports")
        apt = _open(partial / "backports", [backports_source(targets, codename, texts)])
        package = newest_of_series(apt.package_names("linux-image-"), series, flavour)
    if package is None:
        raise LabError(f"neither {codename} nor {codename}-backports offers a linux {series}")
    return apt, package


def _open(directory: Path, sources: Iterable[AptSource]) -> PrivateApt:
    directory.mkdir()
    return open_private_apt(directory, sources)


def _parts_of(apt: PrivateApt, image_package: str) -> tuple[str, ...]:
    """The image package and those it needs to be whole; some distributions package the modules apart."""
    parts = [image_package]
    for package in parts:
        parts += [name for name in apt.dependencies(package) if _PARTS.match(name) and name not in parts]
    version = image_package.removeprefix("linux-image-")
    # Ubuntu keeps some drivers in a package of their own, which only the metapackage asks for.
    extra = f"linux-modules-extra-{version}"
    if extra not in parts and extra in apt.package_names(extra):
        parts.append(extra)
    return tuple(parts)


def _join_module_directories(tree: Path) -> None:
    """Make the modules reachable below both lib and usr/lib: packages and tools differ in where."""
    old, new = tree / "lib" / "modules", tree / "usr" / "lib" / "modules"
    if old.is_dir() and not new.exists():
        new.parent.mkdir(parents=True, exist_ok=True)
        new.symlink_to("../../lib/modules")
    elif new.is_dir() and not old.exists():
        old.parent.mkdir(parents=True, exist_ok=True)
        old.symlink_to("../usr/lib/modules")


def _image_in(tree: Path) -> KernelImage:
    for image in sorted(tree.glob("boot/vmlinuz-*")):
        return KernelImage(image.name.removeprefix("vmlinuz-"), image)
    for image in sorted(tree.glob("usr/lib/modules/*/vmlinuz")):
        return KernelImage(image.parent.name, image)
    raise LabError(f"there is no kernel image in {tree}", hint="delete that directory and try again")
