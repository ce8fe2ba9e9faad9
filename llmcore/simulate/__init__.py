"""Fallback settings tried on a virtual clock: the manager's own code against simulated providers, a day in half a minute."""

from llmcore.simulate.provider import SimulatedProvider
from llmcore.simulate.run import Run, simulate
from llmcore.simulate.spec import read_scenario

__all__ = ["Run", "SimulatedProvider", "read_scenario", "simulate"]
