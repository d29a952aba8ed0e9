"""A private apt: it downloads packages without touching the system's own lists and without root."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from numamig.lab.apt_sources import AptSource
from numamig.lab.tools import run_tool

__all__ = ["PrivateApt", "open_private_apt", "parse_dependencies"]


@dataclass(frozen=True, slots=True)
class PrivateApt:
    """An apt with its sources, lists and cache in ``directory``; the proxy stays the system's."""

    directory: Path

    def update(self) -> None:
        """Fetch the package lists anew."""
        self._run("apt-get", "update")

    def package_names(self, prefix: str) -> tuple[str, ...]:
        """Every package offered whose name starts with ``prefix``, sorted."""
        return tuple(sorted(self._run("apt-cache", "pkgnames", prefix).split()))

    def dependencies(self, package: str) -> tuple[str, ...]:
        """The packages that ``package`` depends on directly; of alternatives, each."""
        return parse_dependencies(self._run("apt-cache", "depends", "--important", package))

    def download(self, packages: Iterable[str], into: Path) -> tuple[Path, ...]:
        """Download packages, checked against the archive's signature, and return the files, sorted."""
        self._run("apt-get", "download", *packages, working_directory=into)
        return tuple(sorted(into.glob("*.deb")))

    def _run(self, program: str, *arguments: str, working_directory: Path | None = None) -> str:
        words = [program, *self._options(), *arguments]
        return run_tool(words, working_directory=working_directory, called=f"{program} {arguments[0]}")

    def _options(self) -> list[str]:
        settings = {
            "Dir::State::lists": self.directory / "lists",
            # No installed packages and no pins: the answer must not depend on this machine.
            "Dir::State::status": self.directory / "status",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::sourcelist": self.directory / "lab.sources",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Cache": self.directory / "cache",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            # Without this, update reports an unreachable archive as a mere warning.
            "APT::Update::Error-Mode": "any",
            # As root, apt drops to a user who cannot write into our directory, and warns about it.
            "APT::Sandbox::User": "root",
        }
        return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def open_private_apt(directory: Path, sources: Iterable[AptSource]) -> PrivateApt:
    """Make a private apt in the existing, empty ``directory`` and fetch the package lists of ``sources``.

    Raises LabError when an archive cannot be reached or its signature is wrong.
    """
    for name in ("lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True)
    (directory / "status").touch()
    (directory / "lab.sources").write_text("\n".join(source.stanza() for source in sources), encoding="utf-8")
    apt = PrivateApt(directory)
    apt.update()
    return apt


def parse_dependencies(listing: str) -> tuple[str, ...]:
    """The package names in what ``apt-cache depends`` printed; virtual packages, in <>, are left out."""
    return tuple(re.findall(r"^[ |]+(?:Pre)?Depends: ([^<\s]\S*)$", listing, re.MULTILINE))
