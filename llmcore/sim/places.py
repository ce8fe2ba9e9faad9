"""Which dialects answer under which path: every provider kind has a prefix of its own, and the bare paths work too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llmcore.sim.dialects.anthropic import AnthropicDialect
from llmcore.sim.dialects.azure import AzureDialect, AzureResponses
from llmcore.sim.dialects.base import Ask, Dialect
from llmcore.sim.dialects.cohere import CohereDialect
from llmcore.sim.dialects.flavours import FLAVOURS
from llmcore.sim.dialects.gemini import GeminiDialect
from llmcore.sim.dialects.huggingface import HuggingFaceDialect
from llmcore.sim.dialects.ollama import OllamaDialect
from llmcore.sim.dialects.openai import OpenAIDialect
from llmcore.sim.dialects.replicate import ReplicateDialect
from llmcore.sim.dialects.responses import ResponsesDialect
from llmcore.sim.values import ApiError

DIALECTS = ("openai", "responses", "azure", "anthropic", "gemini", "ollama", "cohere", "replicate")

PLACE_OF_KIND: Mapping[str, str] = {
    "openai_responses": "openai",
    "azure_openai": "azure",
    "google": "gemini",
    **{name: name for name in FLAVOURS},
    **{name: name for name in ("anthropic", "gemini", "ollama", "cohere", "replicate")},
}

_BASES: Mapping[str, str] = {
    "azure": "",
    "anthropic": "",
    "gemini": "/v1beta",
    "ollama": "",
    "cohere": "",
    "replicate": "",
    "deepseek": "",
    "perplexity": "",
}
"""What follows the prefix in a base URL, where it is not "/v1"; each as the vendor's own base URL ends."""


def base_path(kind: str) -> str:
    """The path of a provider kind's base URL on the simulator. Raises KeyError for an unknown kind."""
    place = PLACE_OF_KIND[kind]
    return f"/{place}{_BASES.get(place, '/v1')}"


class Places:
    """The dialects that a simulator serves, by prefix; `only` names the dialects (None: all)."""

    def __init__(self, only: Iterable[str] | None = None) -> None:
        wanted = set(DIALECTS if only is None else only)
        if unknown := wanted - set(DIALECTS):
            msg = f"unknown dialects {sorted(unknown)}; known: {', '.join(DIALECTS)}"
            raise ValueError(msg)
        self._places: dict[str, tuple[Dialect, ...]] = {}
        for place in {*PLACE_OF_KIND.values()}:
            self._places[place] = tuple(_kept(_dialects(place), wanted))
        self._bare = tuple(_kept(_bare(), wanted))

    def find(self, ask: Ask) -> tuple[str, Dialect, Ask]:
        """Place, dialect, and the request less the prefix. Raises ApiError where nothing is served."""
        first, slash, rest = ask.path[1:].partition("/")
        if first in self._places and slash:
            inner = Ask(ask.method, "/" + rest, ask.query, ask.headers, ask.body, f"{ask.origin}/{first}")
            if (found := _first(self._places[first], inner)) is not None:
                return first, found, inner
        found = _first(_preferred(self._bare, ask), ask)
        if found is None:
            served = self._places.get(first) or self._bare
            if not served:
                raise ApiError("endpoint", f"Invalid URL ({ask.method} {ask.path})")
            return (first if self._places.get(first) else ""), served[0], ask
        return "", found, ask


def _first(dialects: Iterable[Dialect], ask: Ask) -> Dialect | None:
    for dialect in dialects:
        try:
            dialect.route(ask)
        except ApiError:
            continue
        return dialect
    return None


def _preferred(dialects: tuple[Dialect, ...], ask: Ask) -> Iterable[Dialect]:
    """`/v1/models` belongs to several vendors: Anthropic's own header says that it is meant."""
    if "anthropic-version" in ask.headers:
        return sorted(dialects, key=lambda dialect: dialect.name != "anthropic")
    return dialects


def _kept(dialects: Iterable[Dialect], wanted: set[str]) -> Iterable[Dialect]:
    return (dialect for dialect in dialects if dialect.name in wanted)


def _bare() -> tuple[Dialect, ...]:
    return (
        OpenAIDialect(),
        ResponsesDialect(),
        AnthropicDialect(),
        GeminiDialect(),
        OllamaDialect(),
        CohereDialect(),
        ReplicateDialect(),
        AzureDialect(),
    )


def _dialects(place: str) -> tuple[Dialect, ...]:
    match place:
        case "anthropic":
            return (AnthropicDialect(),)
        case "gemini":
            return (GeminiDialect(),)
        case "ollama":
            return (OllamaDialect(), OpenAIDialect("openai_compatible"))
        case "cohere":
            return (CohereDialect(),)
        case "replicate":
            return (ReplicateDialect(),)
        case "huggingface":
            return (HuggingFaceDialect(),)
        case "azure":
            return (AzureDialect(), AzureResponses())
        case _:
            return (OpenAIDialect(place), ResponsesDialect())
