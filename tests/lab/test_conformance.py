"""The conformance suite on the kernel that runs here: the one that the simulator passes too."""

from numamig.testing import ConformanceSuite


class TestLinux(ConformanceSuite):
    """Its fixture ``workshop`` is that of conftest.py."""
