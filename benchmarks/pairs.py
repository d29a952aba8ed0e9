"""Measuring side by side: the ways that are compared take turns, so that what disturbs one disturbs all."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence

__all__ = ["arguments", "medians", "print_result", "ratio", "take_turns"]

Measure = Callable[[], float]
"""Does the work once and says how long it took (or whatever is compared), larger is more."""


def take_turns(ways: Mapping[str, Measure], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Measure every way ``rounds`` times, one after the other, the order turned round each time.

    :returns: by way, its figures in the order in which they were measured
    """
    figures: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for round_ in range(-warm_up, rounds):
        for name in names if round_ % 2 else reversed(names):
            figure = ways[name]()
            if round_ >= 0:
                figures[name].append(figure)
    return figures


def medians(figures: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """By way."""
    return {name: statistics.median(values) for name, values in figures.items()}


def ratio(upper: Sequence[float], lower: Sequence[float]) -> float:
    """Median of the ratios of the pairs: both of a pair were measured under the same conditions."""
    return statistics.median(a / b for a, b in zip(upper, lower, strict=True))


def arguments(description: str, *, rounds: int) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else to standard output")
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each way is measured (%(default)s)")
    return parser


def print_result(result: Mapping[str, object], *, as_json: bool) -> None:
    """The figures, by the names that they have in JSON; numbers rounded to four significant digits."""
    shown = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in result.items()}
    if as_json:
        json.dump(shown, sys.stdout, indent=2)
        print()
        return
    for name, value in shown.items():
        print(f"{name:32} {value}")
