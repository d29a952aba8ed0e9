"""Where this machine's own apt configuration gets its packages from, and the sources derived from that.

No archive's address is known here: the address, the signing key and the proxy are the ones the machine
already uses, so a mirror or an internal archive serves the laboratory too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from numamig.errors import LabError
from numamig.lab.tools import run_tool

__all__ = [
    "AptSource",
    "AptTarget",
    "backports_source",
    "configured_targets",
    "parse_targets",
    "release_sources",
    "source_options",
]

_FIELDS = ("REPO_URI", "RELEASE", "COMPONENT", "TARGET_OF", "SOURCESENTRY")
_FORMAT = "\t".join(f"$({field})" for field in _FIELDS)
_KEPT_OPTIONS = ("Signed-By", "Trusted", "Check-Valid-Until")


@dataclass(frozen=True, slots=True)
class AptTarget:
    """One package index that apt is configured to read, as ``apt-get indextargets`` reports it."""

    repository: str
    """Base address of the archive, as configured, with a trailing slash."""
    suite: str
    component: str
    source_file: Path
    """The file below /etc/apt that names it."""


@dataclass(frozen=True, slots=True)
class AptSource:
    """One stanza of a deb822 sources file: an archive, a suite, and how it is trusted."""

    repository: str
    suite: str
    component: str
    options: tuple[tuple[str, str], ...] = ()
    """Further fields, verbatim; a Signed-By may be a path or a whole key over several lines."""

    def stanza(self) -> str:
        """The stanza as text, ending in a newline."""
        lines = [
            "Types: deb",
            f"URIs: {self.repository}",
            f"Suites: {self.suite}",
            f"Components: {self.component}",
            # A key in the file itself starts on the next line, so no blank may follow the colon.
            *(f"{name}:{value}" if value.startswith("\n") else f"{name}: {value}" for name, value in self.options),
        ]
        return "\n".join(lines) + "\n"


def configured_targets() -> tuple[AptTarget, ...]:
    """The package indexes of this machine. Raises LabError where there is no working apt."""
    return parse_targets(run_tool(["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"]))


def parse_targets(listing: str) -> tuple[AptTarget, ...]:
    """Read the tab-separated lines that configured_targets asks for; source code archives are left out."""
    targets = []
    for line in listing.splitlines():
        repository, suite, component, kind, entry = line.split("\t")
        if kind == "deb":
            source_file = Path(entry.rpartition(":")[0])
            targets.append(AptTarget(repository, suite, component, source_file))
    return tuple(dict.fromkeys(targets))


def release_sources(
    targets: Iterable[AptTarget], codename: str, source_texts: Mapping[Path, str]
) -> tuple[AptSource, ...]:
    """The sources of release ``codename`` with its updates and security fixes, the main component only."""
    suites = {codename, f"{codename}-updates", f"{codename}-security"}
    return tuple(
        _source(target, target.suite, source_texts)
        for target in targets
        if target.suite in suites and target.component == "main"
    )


def backports_source(targets: Iterable[AptTarget], codename: str, source_texts: Mapping[Path, str]) -> AptSource:
    """The backports of release ``codename``, at the archive the release itself comes from.

    Raises LabError when that archive is not among ``targets``.
    """
    main = [target for target in targets if target.component == "main"]
    with_updates = {target.repository for target in main if target.suite == f"{codename}-updates"}
    # Other vendors also name their suite after the release; the distribution's has the updates beside it.
    bases = sorted(
        (target for target in main if target.suite == codename),
        key=lambda target: target.repository not in with_updates,
    )
    if not bases:
        raise LabError(
            f"apt on this machine is not configured for {codename} main, so its backports cannot be found",
            hint="see the output of: apt-get indextargets",
        )
    return _source(bases[0], f"{codename}-backports", source_texts)


def _source(target: AptTarget, suite: str, source_texts: Mapping[Path, str]) -> AptSource:
    options = source_options(source_texts.get(target.source_file, ""), target)
    return AptSource(target.repository, suite, target.component, options)


def source_options(text: str, target: AptTarget) -> tuple[tuple[str, str], ...]:
    """How the sources file ``text`` says ``target`` is to be trusted: the fields to copy, in a fixed order.

    Both formats are read: deb822 (``*.sources``) and one line per source (``*.list``). apt does not report
    these fields itself. Nothing found means apt's own default, the keys in trusted.gpg.d.
    """
    deb822 = target.source_file.suffix == ".sources"
    for fields in _deb822_stanzas(text) if deb822 else _one_line_entries(text):
        addresses = {address.rstrip("/") for address in fields.get("URIs", "").split()}
        if target.repository.rstrip("/") in addresses and target.suite in fields.get("Suites", "").split():
            return tuple((name, fields[name]) for name in _KEPT_OPTIONS if name in fields)
    return ()


def _deb822_stanzas(text: str) -> Iterable[dict[str, str]]:
    names = {name.lower(): name for name in ("URIs", "Suites", *_KEPT_OPTIONS)}
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", uncommented):
        fields: dict[str, str] = {}
        # A field goes on over the lines that start with a blank.
        for match in re.finditer(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", paragraph, re.MULTILINE):
            name = names.get(match[1].lower(), match[1])
            value = match[2].rstrip()
            fields[name] = value if value.startswith("\n") else value.strip()
        yield fields


def _one_line_entries(text: str) -> Iterable[dict[str, str]]:
    names = {name.lower(): name for name in _KEPT_OPTIONS}
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)", line)
        if match is None:
            continue
        fields = {"URIs": match[2], "Suites": match[3]}
        for option in (match[1] or "").split():
            name, _, value = option.partition("=")
            if name.lower() in names:
                # Several keys are separated by commas here, and by blanks in deb822.
                fields[names[name.lower()]] = value.replace(",", " ")
        yield fields
