"""Where the shipped profiles and scenarios are: in the wheel as numamig/profiles, in a checkout as profiles/."""

from __future__ import annotations

import os
from pathlib import Path

from numamig.errors import FileError

__all__ = ["DEFAULT_SCENARIO", "find_profile", "find_scenario", "profiles_folder"]

DEFAULT_SCENARIO = "four-node-db"


def profiles_folder() -> Path:
    """The one place where shipped profiles are."""
    package = Path(__file__).parent
    installed = package / "profiles"
    return installed if installed.is_dir() else package.parent / "profiles"


def find_profile(name: str) -> Path:
    """A file, or else the shipped profile of that name.

    :raises FileError: neither exists.
    """
    return _find(name, profiles_folder())


def find_scenario(name: str, beside: Path | None = None) -> Path:
    """A file, a file beside the one that names it, or else the shipped scenario of that name.

    :raises FileError: none of these exists.
    """
    if beside is not None and os.path.exists(beside / name):
        return beside / name
    return _find(name, profiles_folder() / "scenarios", name.removeprefix("scenarios/"))


def _find(name: str, folder: Path, shipped_as: str | None = None) -> Path:
    # exists() of os.path answers, where Path's raises: a name too long, a folder that may not be entered.
    if os.path.exists(name):
        return Path(name)
    stem = (name if shipped_as is None else shipped_as).removesuffix(".yaml")
    shipped = folder / f"{stem}.yaml"
    if stem and "/" not in stem and os.path.exists(shipped):
        return shipped
    if "/" in name:
        return Path(name)  # whoever reads it says what is wrong with it
    known = ", ".join(path.stem for path in sorted(folder.glob("*.yaml")))
    reason = "there is no such file, and nothing shipped is called that"
    raise FileError(name or "''", [(0, f"{reason} (shipped: {known})")])
