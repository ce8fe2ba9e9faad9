"""Chaos: a user's own fallback settings against a provider that breaks in every known way, on loopback, and a scorecard."""

from llmcore.chaos.page import page
from llmcore.chaos.report import PUBLISHED, Scorecard, as_json
from llmcore.chaos.runner import run_all
from llmcore.chaos.scenarios import SCENARIOS, chosen
from llmcore.chaos.settings import Profile, adopted, default_config, load

__all__ = [
    "PUBLISHED",
    "SCENARIOS",
    "Profile",
    "Scorecard",
    "adopted",
    "as_json",
    "chosen",
    "default_config",
    "load",
    "page",
    "run_all",
]
