"""A machine that can be told which of its calls fail, and why."""

from __future__ import annotations

from typing import Any

__all__ = ["Failing"]


class Failing:
    """A backend around another one."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.broken: dict[str, Exception] = {}
        """Method → what it raises from now on."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if name not in self.broken:
            return found

        def fail(*_: object, **__: object) -> Any:
            raise self.broken[name]

        return fail
