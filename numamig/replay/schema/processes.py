"""Which processes a profile means."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from numamig.replay.schema.fields import Strict, Text

__all__ = ["ProcessSelector"]

_BY = ("pid", "name", "user", "cmdline", "cgroup")


class ProcessSelector(Strict):
    """Which processes; every key that is given must fit."""

    pid: Annotated[int, Field(gt=0, strict=True)] | None = None
    """Process id."""
    name: Text | None = None
    """comm, exactly: what `ps -o comm` and `numamig ps` show."""
    user: Text | None = None
    """Name of its user."""
    cmdline: Text | None = None
    """A regular expression, searched for in the arguments joined by spaces."""
    cgroup: Text | None = None
    """A control group: its path and all below it, like /system.slice/db.service, or a pattern with * and ?."""
    which: Literal["only", "largest", "all"] | None = None
    """Of those that fit: the only one, the largest, or all. Left out: only; in for_each, all."""

    @field_validator("cmdline")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        except (RecursionError, OverflowError):
            raise ValueError("is too large for a regular expression") from None
        return value

    @model_validator(mode="after")
    def _says_something(self) -> ProcessSelector:
        if not any(getattr(self, key) is not None for key in _BY):
            raise ValueError("say which process: pid, name, user, cmdline or cgroup")
        return self

    @property
    def words(self) -> str:
        """What is asked for: "name db, user ada"."""
        return ", ".join(f"{key} {getattr(self, key)}" for key in _BY if getattr(self, key) is not None)
