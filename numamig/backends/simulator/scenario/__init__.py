"""Scenarios: a simulated machine written down in YAML, checked, and built from one seed."""

from numamig.backends.simulator.scenario.build import build_machine, load_machine
from numamig.backends.simulator.scenario.schema import ScenarioFile

__all__ = ["ScenarioFile", "build_machine", "load_machine"]
