"""What a profile does, step by step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from numamig.replay.schema.expect import Expect
from numamig.replay.schema.fields import ONE_KEY, Duration, NodeId, NodeList, Size, Strict, Switch, Text
from numamig.replay.schema.pacing import BatchSettings, RetrySettings, StopAt
from numamig.replay.schema.pages import AnOrder, OrderSettings, PageSelector
from numamig.replay.schema.processes import ProcessSelector
from numamig.replay.schema.targets import FORMS, AnyTarget, NodePairs, Target, Weights
from numamig.yamlschema import DURATION, Also

__all__ = ["ForEach", "Include", "Migrate", "Repeat", "Step", "Steps", "Undo", "Until", "Wait"]

MOST_TIMES = 10_000
_SECOND_NS = 10**9


class Migrate(Strict):
    """Move pages of processes."""

    process: ProcessSelector | None = None
    """Which processes; inside of for_each it is left out."""
    pages: PageSelector = PageSelector()
    """Which of their pages; left out: all that are not where they should be."""
    to: AnyTarget | None = None
    """Where to: a node like 1, or one of interleave, weights, map, follow."""
    interleave: NodeList | None = None
    """In place of to: over these nodes in turn."""
    weights: Weights | None = None
    """In place of to: over these nodes in turn, so many in a row to each."""
    map_: NodePairs | None = Field(default=None, alias="map")
    """In place of to: from each node to another."""
    follow: Literal["cpus"] | None = None
    """In place of to: cpus, to where the threads run."""
    order: AnOrder = OrderSettings()
    """Which pages move first."""
    batch: BatchSettings = BatchSettings()
    """How much at once, and how fast."""
    retry: RetrySettings = RetrySettings()
    """What happens to busy pages."""
    limits: StopAt = StopAt()
    """Beyond which it stops by itself."""
    shared: Switch = False
    """Also pages that other processes map (MPOL_MF_MOVE_ALL; needs CAP_SYS_NICE)."""
    critical: Switch = False
    """Also processes that had better be left alone."""

    @model_validator(mode="after")
    def _consistent(self) -> Migrate:
        inline = [form for form in FORMS[1:] if getattr(self, form) is not None]
        if len(inline) + (self.to is not None) != 1:
            said = " and ".join((["to"] if self.to is not None else []) + [form.rstrip("_") for form in inline])
            raise ValueError(
                f"say where to, once: to, interleave, weights, map or follow{f', not {said}' if said else ''}"
            )
        if self.pages.mapped == "shared" and not self.shared:
            raise ValueError("pages that others map move only with shared: true")
        _ = self.target
        return self

    @property
    def target(self) -> Target:
        """Where to, however it is written."""
        if self.to is not None:
            return self.to
        return Target(interleave=self.interleave, weights=self.weights, map=self.map_, follow=self.follow)


class Until(Strict):
    """What is waited for."""

    free: Annotated[dict[NodeId, Size], Field(min_length=1)]
    """Node → so much free memory: {1: 4GiB}."""


class Wait(Strict):
    """Wait for some time, or until something is so."""

    for_: Duration | None = Field(default=None, alias="for")
    """So long; the short form is wait: 2s."""
    until: Until | None = None
    """Until this is so."""
    at_most: Duration = 60 * _SECOND_NS
    """Of until: not so by then ends the run."""
    every: Duration = _SECOND_NS
    """Of until: how often is looked."""

    @model_validator(mode="after")
    def _one(self) -> Wait:
        if (self.for_ is None) == (self.until is None):
            raise ValueError("write wait: 2s, or wait: {until: {free: {1: 4GiB}}, at_most: 1min}")
        if self.until is None and self.model_fields_set & {"at_most", "every"}:
            raise ValueError("at_most and every are for until")
        return self


def _wait(value: object) -> object:
    return value if isinstance(value, dict | Wait) else {"for": value}


class UndoStep(Strict):
    """One step of this run."""

    step: Annotated[int, Field(strict=True, ge=1)]
    """Its number, from 1, in the list of steps that this one is in."""


Undo = Annotated[Literal["last", "all"] | UndoStep, Field(union_mode="left_to_right")]


class Repeat(Strict):
    """Do some steps several times."""

    times: Annotated[int, Field(strict=True, ge=1, le=MOST_TIMES)]
    """How often."""
    steps: Steps
    """What is done each time."""


class ForEach(Strict):
    """Do some steps for each process that fits; inside, migrate leaves process out."""

    process: ProcessSelector
    """Which processes; which: all is meant unless it says otherwise."""
    steps: Steps
    """What is done for each: expect and undo are about that process only."""


class Include(Strict):
    """The steps of another profile."""

    file: Text
    """A file beside this one."""
    set_: dict[Text, str | int | float | bool] = Field(default_factory=dict, alias="set")
    """Values of its variables."""
    steps: SkipJsonSchema[list[Step]] = Field(default_factory=list, exclude=True)
    """What it says; read from the file, and written nowhere else."""


def _include(value: object) -> object:
    return {"file": value} if isinstance(value, str) else value


class Step(Strict):
    """One thing to do."""

    model_config = ONE_KEY

    migrate: Migrate | None = None
    """Move pages."""
    wait: Annotated[Wait | None, BeforeValidator(_wait), Also(DURATION.json_schema or {})] = None
    """Wait: 2s, or until something is so."""
    expect: Expect | None = None
    """What must have come of it."""
    for_each: ForEach | None = None
    """Some steps for each of several processes."""
    repeat: Repeat | None = None
    """Some steps several times."""
    undo: Undo | None = None
    """Take back what this run moved: last (the last job), all, or {step: 2}."""
    include: Annotated[Include | None, BeforeValidator(_include), Also({"type": "string", "minLength": 1})] = None
    """The steps of another profile beside this one."""

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError(f"a step is one of {', '.join(type(self).model_fields)}")
        return self


Steps = Annotated[list[Step], Field(min_length=1)]
for _model in (Repeat, ForEach, Include):
    _model.model_rebuild()
