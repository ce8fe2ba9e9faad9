"""A simulated provider: a real HTTP server that speaks the vendors' dialects, and breaks on request."""

from llmcore.sim.command import run
from llmcore.sim.faults import Fault, fault_names
from llmcore.sim.record import Counters, Record
from llmcore.sim.script import Rule, Script
from llmcore.sim.server import Simulator
from llmcore.sim.thread import SimulatorThread
from llmcore.sim.values import Understood

__all__ = [
    "Counters",
    "Fault",
    "Record",
    "Rule",
    "Script",
    "Simulator",
    "SimulatorThread",
    "Understood",
    "fault_names",
    "run",
]
