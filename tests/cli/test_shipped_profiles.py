"""The shipped profiles: each runs as it is and keeps its promises; none of them, however damaged, does harm."""

from __future__ import annotations

import copy
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from numamig.backends import registry
from numamig.backends.base import Backend, TellsWorkings
from numamig.cli import run
from numamig.errors import ExitCode
from numamig.replay.load import load_profile
from numamig.replay.run import run_profile
from numamig.resources import find_scenario, profiles_folder

PROFILES = sorted(path.stem for path in profiles_folder().glob("*.yaml"))
MUTANTS = 40
"""Of each profile."""
SMALLER = 256
"""A machine of which everything is so many times smaller does for those."""
VALUES: list[Any] = [
    None, True, -1, 0, 1, 3, 7, 1.5, 10**30, float("inf"), "", "all", "!0", "0-1", "+0", "12XB", "-5ms", "5ms", "1KiB",
    "64MiB", "50%", "150%", ">= 10%", ">> 1", "none", "${x}", "${x:-1}", "${", "0x0-0x1", "*", "[", "\x00", "é" * 50,
    [], {}, [1, 2], ["a"], {"a": 1}, {0: 1}, {"pid": 1}, [[[]]], "random", "last", "linux-6.1", "2024-01-01",
]  # fmt: skip
KEYS = [
    "to",
    "from",
    "pages",
    "process",
    "interleave",
    "repeat",
    "steps",
    "x",
    "",
    3,
    None,
    "numamig",
    "wait",
    "undo",
    "moved",
]


def test_there_are_stories_enough() -> None:
    assert len(PROFILES) >= 10
    for name in PROFILES:
        text = (profiles_folder() / f"{name}.yaml").read_text()
        head = text[: text.index("\nnumamig: 1\n")]
        assert head.startswith("# yaml-language-server: $schema=schema/profile.json\n")
        assert len(head.splitlines()) >= 5 and f"numamig replay {name}" in head


@pytest.mark.parametrize("name", PROFILES)
def test_it_runs_and_what_it_expects_holds(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["replay", name, "--yes"])
    told = capsys.readouterr()
    assert code == ExitCode.DONE, told.out + told.err
    assert "holds " in told.out and "FAILED" not in told.out


@pytest.mark.parametrize(
    ("name", "process", "factor"),
    [
        ("interleave-late", "solver", 1.6),
        ("spread-hot-array", "stream-triad", 1.4),
        ("spread-hot-array", "graph-walk", 1.4),
        ("promote-hot-pages", "memcached", 1.5),
        ("swap-two-processes", "left", 1.5),
        ("swap-two-processes", "right", 1.5),
        ("meet-a-full-target", "analytics", 1.5),
        ("pull-database-to-its-cpus", "postgres", 1.3),
    ],
)
def test_it_pays_off_as_its_story_says(name: str, process: str, factor: float) -> None:
    profile, document = load_profile(str(profiles_folder() / f"{name}.yaml"))
    backend = registry.open_backend("simulator", find_scenario(str(profile.scenario)))
    assert isinstance(backend, TellsWorkings)

    def speed() -> float:
        backend.clock.sleep_ns(100_000_000)
        return max(told.speed for told in backend.workings().workloads if told.name == process)

    before = speed()
    run_profile(backend, profile, document)
    assert speed() >= factor * before


def smaller(text: str) -> str:
    """A scenario with less of everything."""

    def less(match: re.Match[str]) -> str:
        kib = int(match.group(1)) << {"K": 0, "M": 10, "G": 20}[match.group(2)]
        return f"{max(16, kib // SMALLER // 16 * 16)}KiB"

    return re.sub(r"\b(\d+)([KMG])iB\b", less, text)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there is something: paths of keys and numbers."""
    found = [path] if path else []
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        found += places(value, (*path, key))
    return found


def mutant(data: Any, chance: random.Random) -> str:
    """The profile with one to three things in it changed."""
    data = copy.deepcopy(data)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        found = places(data)
        if not found:
            break
        *path, last = chance.choice(found)
        inner = data
        for key in path:
            inner = inner[key]
        match chance.randrange(6):
            case 0:
                inner[last] = copy.deepcopy(chance.choice(VALUES))
            case 1 | 5:
                del inner[last]
            case 2 if isinstance(inner, dict):
                inner[chance.choice(KEYS)] = inner.pop(last)
            case 3 if isinstance(inner, dict):
                inner[chance.choice(KEYS)] = copy.deepcopy(chance.choice(VALUES))
            case _:
                inner[last] = [inner[last]] if chance.random() < 0.5 else {"steps": inner[last]}
    text = str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    if chance.random() < 0.2:  # and in its letters
        at = chance.randrange(len(text))
        text = (
            text[:at]
            + chance.choice([" ", "\t", "\n", ":", "- ", "&a ", "*a ", "!!python/none ", '"', "#"])
            + text[at:]
        )
    return text


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Backend]:
    """Every machine that a command opens."""
    machines: list[Backend] = []
    real: Callable[..., Backend] = registry.open_backend

    def open_backend(*arguments: Any) -> Backend:
        machines.append(real(*arguments))
        return machines[-1]

    monkeypatch.setattr(registry, "open_backend", open_backend)
    return machines


@pytest.mark.parametrize("name", PROFILES)
def test_a_damaged_profile_runs_or_is_refused_and_moves_nothing_then(
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    opened: list[Backend],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(f"{name} 1")
    data = yaml.safe_load((profiles_folder() / f"{name}.yaml").read_text())
    scenario = find_scenario(data["scenario"])
    (tmp_path / "scenarios").mkdir()
    (tmp_path / data["scenario"]).write_text(smaller(scenario.read_text()))
    path = tmp_path / "mutant.yaml"
    codes: Counter[int] = Counter()
    for number in range(MUTANTS):
        text = mutant(data, chance)
        path.write_text(text)
        opened.clear()
        code = run(["--backend", "simulator", "replay", "mutant.yaml", "--yes"])
        codes[code] += 1
        told = capsys.readouterr()
        about = f"mutant {number}:\n{text}\n{told.err}"
        assert code in {ExitCode.DONE, ExitCode.PARTIAL, ExitCode.USAGE, ExitCode.REFUSED, ExitCode.TARGET_GONE}, about
        assert "Traceback" not in told.err, about
        if code == ExitCode.USAGE:
            assert re.search(r"^numamig: mutant\.yaml:\d+:", told.err, re.MULTILINE), about
            assert all(machine.machine.moving_calls == 0 for machine in opened), about  # type: ignore[attr-defined]
    assert codes[ExitCode.USAGE] > MUTANTS // 4 and codes.total() > codes[ExitCode.USAGE], codes
