"""For those who write a backend: the conformance suite, and what it needs from you.

from numamig.testing import ConformanceSuite

class TestMyBackend(ConformanceSuite):
    @pytest.fixture
    def workshop(self):
        return MyWorkshop(...)
"""

from numamig.testing.conformance import ConformanceSuite
from numamig.testing.workshop import Area, Target, Workshop

__all__ = ["Area", "ConformanceSuite", "Target", "Workshop"]
