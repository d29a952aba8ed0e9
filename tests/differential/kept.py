"""Cases that once went wrong, as files: replayed first in every run, and in ordinary tests against recorded answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.differential.case import Case, Report

__all__ = ["DIRECTORY", "Kept", "keep", "kept_cases"]

DIRECTORY = Path(__file__).parent / "cases"


@dataclass(slots=True)
class Kept:
    """One file."""

    path: Path
    why: str
    case: Case
    reports: dict[str, Report] = field(default_factory=dict)
    """Kernel profile → what the guest said."""

    def write(self) -> None:
        """An area, a call, and a kernel's report are a line each."""
        case = [f'  "{key}": {_lines(value, 3)}' for key, value in {**self.case, "id": 0}.items()]
        reports = [f'  "{kernel}": {json.dumps(_told(report))}' for kernel, report in sorted(self.reports.items())]
        self.path.write_text(
            f'{{\n "why": {json.dumps(self.why)},\n "case": {{\n'
            + ",\n".join(case)
            + '\n },\n "reports": {'
            + ",".join("\n" + line for line in reports)
            + "\n }\n}\n",
            encoding="utf-8",
        )


def kept_cases(directory: Path = DIRECTORY) -> list[Kept]:
    """All of them, by name. Ids are given anew, below those of the generator."""
    found = []
    for number, path in enumerate(sorted(directory.glob("*.json"))):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        content["case"]["id"] = -1_000_000 - number
        found.append(Kept(path, content["why"], content["case"], content["reports"]))
    return found


def keep(name: str, why: str, case: Case, kernel: str, report: Report, directory: Path = DIRECTORY) -> Kept:
    """Write a file of that name, with a number if there is one already."""
    stem = re.sub(r"\W+", "-", name).strip("-").lower()
    path, number = directory / f"{stem}.json", 2
    while path.exists():
        path, number = directory / f"{stem}-{number}.json", number + 1
    one = Kept(path, why, case, {kernel: report})
    one.write()
    return one


def _told(report: Report) -> dict[str, object]:
    """What does not change from run to run."""
    return {key: value for key, value in report.items() if key not in ("case", "took")}


def _lines(value: object, indent: int) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n" + ",\n".join(" " * indent + json.dumps(each) for each in value) + "\n" + " " * (indent - 1) + "]"
