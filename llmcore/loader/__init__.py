"""Configuration files: `read` makes a config of TOML, or all complaints at once; `dump` writes it back, less its secrets."""

from llmcore.loader.dump import dump
from llmcore.loader.read import Report, examine, load_config

__all__ = ["Report", "dump", "examine", "load_config"]
