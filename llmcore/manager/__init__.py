"""The one loop that chooses and repeats attempts, and the gates around each of them."""

from llmcore.manager.manager import ProviderManager

__all__ = ["ProviderManager"]
