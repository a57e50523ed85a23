"""Scenarios: seeded stories of faults and noise, every signal labelled with what caused it.

``generate(name, seed)`` gives the lines that ``sextant fold`` reads and the truth about them. It
knows the wire and the words of the design, and nothing of the engine; see README.md.
"""

from bench.scenarios.scenario import Scenario, generate
from bench.scenarios.signals import Line
from bench.scenarios.spec import BadScenario, names

__all__ = ["BadScenario", "Line", "Scenario", "generate", "names"]
