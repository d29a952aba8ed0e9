"""Logarithm and exponential from exact operations: as good as the library's, and the same bits everywhere."""

from __future__ import annotations

import hashlib

import numpy as np

from numamig.backends.simulator.chance import draws
from numamig.backends.simulator.ieee import expm1, log1p


def test_as_good_as_the_librarys() -> None:
    u = np.concatenate((draws(3, 9, np.arange(200_000)), [0.0, 2.0**-53, 0.5, 1 - 2.0**-53, 1 - 2.0**-52]))
    np.testing.assert_allclose(log1p(-u), np.log1p(-u), rtol=1e-15, atol=0)
    x = np.concatenate((-u * 40, -u, -u * 1e-9, [0.0, -1e3, -np.inf]))
    np.testing.assert_allclose(expm1(x), np.expm1(x), rtol=5e-16, atol=0)


def test_the_same_bits_everywhere() -> None:
    # Recorded on an x86-64 machine with AVX2. Whatever else differs between machines, this must not.
    u = draws(1, 1, np.arange(100_000))
    bits = hashlib.sha256(log1p(-u).tobytes() + expm1(-u * 30).tobytes()).hexdigest()
    assert bits[:16] == "9cdb73b0d7c04f2f"
