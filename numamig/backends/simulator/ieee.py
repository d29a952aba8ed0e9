"""Logarithm and exponential to the same bit everywhere, from operations that IEEE 754 defines to the bit.

The last place of what ``numpy.log1p`` and ``numpy.expm1`` give depends on the CPU and on the library that numpy was
built with; a trace must not. Sums, products and quotients of doubles do not, nor does scaling by powers of two.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["expm1", "log1p"]

_LN2 = 0.6931471805599453
_LN2_HIGH, _LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
"""Together ln 2; the first has so few digits that small multiples of it are exact."""
_SQRT_HALF = 0.7071067811865476
_LOG = [1 / (2 * term + 1) for term in range(12)]
"""Of artanh(s) / s in powers of s², |s| < 0.172: the next is below 2 ** -60."""
_EXP = [1 / math.factorial(term + 1) for term in range(14)]
"""Of (exp(r) - 1) / r in powers of r, |r| < 0.35: the next is below 2 ** -60."""


def log1p(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(1 + x) for x > -1, where 1 + x is exact: as for draws, which are multiples of 2 ** -53 in [0, 1)."""
    fraction, power = np.frexp(1.0 + x)
    small = fraction < _SQRT_HALF
    fraction = np.where(small, fraction * 2, fraction)
    power = np.where(small, power - 1, power).astype(np.float64)
    s = (fraction - 1) / (fraction + 1)
    return np.asarray(power * _LN2 + 2 * s * _series(_LOG, s * s))


def expm1(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(x) - 1 for x <= 0."""
    x = np.maximum(x, -50.0)  # nothing is left of exp(x) beside 1
    power = np.rint(x / _LN2)
    rest = (x - power * _LN2_HIGH) - power * _LN2_LOW
    scale = np.ldexp(1.0, power.astype(np.int32))
    return np.asarray(rest * _series(_EXP, rest) * scale + (scale - 1))


def _series(coefficients: list[float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of coefficients times powers of ``x``."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= x
        total += coefficient
    return total
