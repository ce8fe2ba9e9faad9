"""Where the system's providers may lead, asked each time that one is dialled (T2).

What the operator wrote (the configuration file, the environment, the usual address of a kind) may be in their own network
and is refused only where no provider can be: metadata of a cloud, link-local, multicast, unspecified, tunnels. What an
administrator entered over HTTP, or a vendor handed out, must be public, unless `local_servers` names its host and port.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from llmcore.config import LlmConfig
from llmcore.errors import EndpointError
from llmcore.gateway.addresses import refusal
from llmcore.providers import places
from llmcore.providers.place import Place
from llmcore.transport.outgoing import Origin, origin_of


class Reach:
    """servers: "host:port" of local servers that the operator lists. What was once in the file stays known until the end."""

    def __init__(self, servers: Iterable[str], environ: Mapping[str, str]) -> None:
        self._servers = frozenset(servers)
        self._operators: set[Origin] = set()
        for place in places():
            self._add(place.base_url, *_of_environment(place, environ))

    def written(self, llm: LlmConfig) -> LlmConfig:
        """The operator's file names these addresses; the same configuration."""
        self._add(*(provider.base_url for provider in llm.providers))
        return llm

    def admit(self, origin: Origin, addresses: Sequence[str]) -> None:
        """Raises EndpointError for addresses that are not dialled."""
        inside = origin in self._operators or f"{origin.host}:{origin.port}" in self._servers
        reason = refusal(addresses, local=inside)
        if reason is not None:
            raise EndpointError(f"the address of this provider {reason}; it is not asked", phase="connect")

    def _add(self, *urls: str | None) -> None:
        for url in urls:
            if url:
                with suppress(EndpointError):  # an address that is none is refused where its provider is made
                    self._operators.add(origin_of(url))


def _of_environment(place: Place, environ: Mapping[str, str]) -> list[str]:
    said = [environ[name] for name in place.base_url_env if environ.get(name)]
    return [place.read_base_url(text) if place.read_base_url is not None else text for text in said]
