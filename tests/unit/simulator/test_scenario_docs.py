"""docs/scenarios.md names every key that a scenario may have, and every shipped machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from numamig.backends.simulator.kernels import KERNELS
from numamig.backends.simulator.scenario import ScenarioFile, build_machine
from numamig.backends.simulator.scenario.entries import ENTRIES
from numamig.resources import profiles_folder

TEXT = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text()
TICKED = set(re.findall(r"`([^`\n]+)`", TEXT))


def models(annotation: object) -> set[type[BaseModel]]:
    """All models that can be inside."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}.union(*(models(field.annotation) for field in annotation.model_fields.values()))
    return set().union(*(models(part) for part in get_args(annotation)))


KEYS = sorted(
    {
        field.alias or name
        for model in (models(ScenarioFile).union(*(models(entry) for entry in ENTRIES)))
        for name, field in model.model_fields.items()
    }
)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_there(key: str) -> None:
    assert key in TICKED


def test_so_is_every_kernel_actor_and_machine() -> None:
    assert set(KERNELS) <= TICKED
    assert {str(entry.model_fields["kind"].default) for entry in ENTRIES} <= TICKED
    assert {path.stem for path in (profiles_folder() / "scenarios").glob("*.yaml")} <= TICKED


def test_the_example_is_one() -> None:
    example = re.search(r"\n((?:    .*\n)+)", TEXT)
    assert example is not None
    machine = build_machine(ScenarioFile.model_validate(yaml.safe_load(example.group(1))))
    assert machine.processes[4711].resident_pages == 1 << 20
