"""What a profile may say, version 1, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from numamig.replay.schema.expect import Bound, Expect
from numamig.replay.schema.fields import Strict, Text
from numamig.replay.schema.pacing import BatchSettings, RetrySettings, StopAt
from numamig.replay.schema.pages import OrderSettings, PageSelector
from numamig.replay.schema.processes import ProcessSelector
from numamig.replay.schema.steps import ForEach, Include, Migrate, Repeat, Step, Steps, Undo, UndoStep, Wait
from numamig.replay.schema.targets import Target

__all__ = [
    "BatchSettings",
    "Bound",
    "Expect",
    "ForEach",
    "Include",
    "Migrate",
    "OrderSettings",
    "PageSelector",
    "ProcessSelector",
    "Profile",
    "Repeat",
    "RetrySettings",
    "Step",
    "StopAt",
    "Target",
    "Undo",
    "UndoStep",
    "Wait",
]

VariableName = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=60)]


class Profile(Strict):
    """A profile of numamig, version 1: what is moved where, in which order, and what is expected to come of it."""

    numamig: Literal[1]
    """Version of the format."""
    title: str = ""
    """What it is for, in a few words."""
    backend: Literal["auto", "linux", "simulator"] = "auto"
    """The machine that it is for; --backend says otherwise."""
    scenario: Text | None = None
    """For the simulator: a file beside the profile, or the name of a shipped one."""
    variables: dict[VariableName, str | int | float | bool | None] = Field(default_factory=dict)
    """Names for values, written ${name} below; --set name=value says otherwise. One without a value must be set."""
    steps: Steps
    """What is done, in order."""
