"""Where the shipped profiles and scenarios are: in the wheel as numamig/profiles, in a checkout as profiles/."""

from __future__ import annotations

from pathlib import Path

from numamig.errors import FileError

__all__ = ["DEFAULT_SCENARIO", "find_profile", "find_scenario", "profiles_folder", "shipped_profiles"]

DEFAULT_SCENARIO = "four-node-db"


def profiles_folder() -> Path:
    """The one place where shipped profiles are."""
    package = Path(__file__).parent
    installed = package / "profiles"
    return installed if installed.is_dir() else package.parent / "profiles"


def shipped_profiles() -> list[Path]:
    """In the order of their names."""
    return sorted(profiles_folder().glob("*.yaml"))


def find_profile(name: str) -> Path:
    """A file, or else the shipped profile of that name.

    :raises FileError: neither exists.
    """
    return _find(name, profiles_folder())


def find_scenario(name: str, beside: Path | None = None) -> Path:
    """A file, a file beside the one that names it, or else the shipped scenario of that name.

    :raises FileError: none of these exists.
    """
    if beside is not None and (beside / name).is_file():
        return beside / name
    return _find(name.removeprefix("scenarios/"), profiles_folder() / "scenarios")


def _find(name: str, folder: Path) -> Path:
    if Path(name).is_file():
        return Path(name)
    shipped = folder / (name if name.endswith(".yaml") else f"{name}.yaml")
    if "/" not in name and shipped.is_file():
        return shipped
    known = ", ".join(path.stem for path in sorted(folder.glob("*.yaml")))
    raise FileError(name, [(0, f"there is no such file, and nothing shipped is called that (shipped: {known})")])
