"""What preflight and doctor say: how bad, why, and what helps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Severity"]


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """It may not go as wished; the operator may accept that."""
    ERROR = "error"
    """It cannot work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found out."""

    check: str
    """What was looked at, in one word: "rights", "room", "balancing"."""
    severity: Severity
    reason: str
    """One sentence."""
    remedy: str = ""
    """What to do about it; "" where there is nothing to do."""

    def as_dict(self) -> dict[str, str]:
        return {"check": self.check, "severity": self.severity.value, "reason": self.reason, "remedy": self.remedy}
