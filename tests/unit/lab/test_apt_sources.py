"""Kernel sources are derived from the machine's own apt configuration, with its signing keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from numamig.errors import LabError
from numamig.lab.apt import parse_dependencies
from numamig.lab.apt_sources import (
    AptSource,
    AptTarget,
    backports_source,
    parse_targets,
    release_sources,
    source_options,
)

DEB822 = Path("/etc/apt/sources.list.d/archive.sources")
ONE_LINE = Path("/etc/apt/sources.list")
ARCHIVE = "http://archive.example.org/debian/"
SECURITY = "http://security.example.org/debian-security/"
KEYRING = "/usr/share/keyrings/archive.gpg"

LISTING = f"""\
http://vendor.example.org/apt/\tbookworm\tmain\tdeb\t/etc/apt/sources.list.d/vendor.list:1
{ARCHIVE}\tbookworm\tmain\tdeb\t{DEB822}:1
{ARCHIVE}\tbookworm\tmain\tdeb-src\t{DEB822}:1
{ARCHIVE}\tbookworm\tcontrib\tdeb\t{DEB822}:1
{ARCHIVE}\tbookworm-updates\tmain\tdeb\t{DEB822}:1
{SECURITY}\tbookworm-security\tmain\tdeb\t{DEB822}:2
"""

SOURCES = f"""\
# the archive itself

Types: deb
URIs: http://archive.example.org/debian
# an older snapshot was here
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEYRING}

types: deb
uris: http://security.example.org/debian-security
suites: bookworm-security
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBFx
 -----END PGP PUBLIC KEY BLOCK-----
"""

KEY_BLOCK = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBFx\n -----END PGP PUBLIC KEY BLOCK-----"


def test_release_sources_are_the_main_components_of_release_updates_and_security() -> None:
    sources = release_sources(parse_targets(LISTING), "bookworm", {DEB822: SOURCES})
    assert sources == (
        AptSource("http://vendor.example.org/apt/", "bookworm", "main"),
        AptSource(ARCHIVE, "bookworm", "main", (("Signed-By", KEYRING),)),
        AptSource(ARCHIVE, "bookworm-updates", "main", (("Signed-By", KEYRING),)),
        AptSource(SECURITY, "bookworm-security", "main", (("Signed-By", KEY_BLOCK),)),
    )


def test_backports_come_from_the_archive_that_has_the_updates_too() -> None:
    source = backports_source(parse_targets(LISTING), "bookworm", {DEB822: SOURCES})
    assert source.stanza() == (
        "Types: deb\n"
        "URIs: http://archive.example.org/debian/\n"
        "Suites: bookworm-backports\n"
        "Components: main\n"
        "Signed-By: /usr/share/keyrings/archive.gpg\n"
    )


def test_backports_of_an_unconfigured_release_are_an_error() -> None:
    with pytest.raises(LabError, match="not configured for trixie main"):
        backports_source(parse_targets(LISTING), "trixie", {})


def test_a_key_inside_the_file_is_copied_whole() -> None:
    source = AptSource(SECURITY, "bookworm-security", "main", (("Signed-By", KEY_BLOCK),))
    assert source.stanza().endswith(f"Components: main\nSigned-By:{KEY_BLOCK}\n")


@pytest.mark.parametrize(
    ("line", "options"),
    [
        (f"deb {ARCHIVE} bookworm main", ()),
        (f"deb [arch=amd64 signed-by={KEYRING}] {ARCHIVE} bookworm main", (("Signed-By", KEYRING),)),
        (f"deb [ signed-by=/a.gpg,/b.gpg ] {ARCHIVE} bookworm main", (("Signed-By", "/a.gpg /b.gpg"),)),
        ("deb [trusted=yes] http://archive.example.org/debian bookworm main", (("Trusted", "yes"),)),
        (f"deb [trusted=yes] {ARCHIVE} bookworm-updates main", ()),
        (f"# deb [trusted=yes] {ARCHIVE} bookworm main", ()),
        (f"deb-src [trusted=yes] {ARCHIVE} bookworm main", ()),
    ],
)
def test_options_of_one_line_sources(line: str, options: tuple[tuple[str, str], ...]) -> None:
    target = AptTarget(ARCHIVE, "bookworm", "main", ONE_LINE)
    assert source_options(f"# first\n{line}\n", target) == options


def test_dependencies_skip_virtual_packages_and_conflicts() -> None:
    listing = (
        "linux-image-6.1.0-1-amd64\n"
        "  PreDepends: linux-base\n"
        "  Depends: kmod\n"
        " |Depends: initramfs-tools\n"
        "  Depends: <linux-initramfs-tool>\n"
        "    dracut\n"
        "  Conflicts: other\n"
    )
    assert parse_dependencies(listing) == ("linux-base", "kmod", "initramfs-tools")
