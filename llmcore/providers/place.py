"""Where to talk and who we are: a place is plain data beside the wire that is spoken there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from attrs import field, frozen

from llmcore.config import ProviderConfig
from llmcore.wire.base import Wire

_PLAIN_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


@frozen
class Place:
    """One kind of provider.

    kind: the name in the configuration; aliases: other names for it. base_url: None where it must be configured.
    key_env, base_url_env: the vendor's standard variables, first one set wins. trusted_hosts: hosts (and their
    subdomains, over https) to which a URL that the vendor hands out may lead with the key attached. local: a server on
    one's own machine (no key needed, models may take minutes to load). model_required: False where the server answers
    with whatever it has loaded. configure: a wire made for one configuration,
    where a dialect has versions. read_base_url: the address out of the variable's text, where that is not simply a URL.
    """

    kind: str
    wire: Wire
    base_url: str | None = None
    title: str = ""
    key_env: tuple[str, ...] = ()
    base_url_env: tuple[str, ...] = ()
    key_required: bool = True
    auth_header: str = "Authorization"
    auth_prefix: str = "Bearer "
    headers: Mapping[str, str] = field(factory=dict)
    aliases: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    local: bool = False
    model_required: bool = True
    configure: Callable[[ProviderConfig], Wire] | None = None
    read_base_url: Callable[[str], str] | None = None

    def wire_for(self, config: ProviderConfig) -> Wire:
        return self.configure(config) if self.configure else self.wire

    def trusts(self, url: str, base_url: str) -> bool:
        """Whether the key may go to `url`: the origin of `base_url`, or a trusted host over https.

        Never to one that two readers could understand differently.
        """
        target, base = urlsplit(url), urlsplit(base_url)
        if not _PLAIN_HOST.fullmatch(target.netloc):
            return False
        if origin(url) == origin(base_url):
            return True
        host = target.hostname or ""
        at_home = base.hostname is not None and self._is_trusted(base.hostname)
        return target.scheme == "https" and at_home and self._is_trusted(host)

    def _is_trusted(self, host: str) -> bool:
        return any(host == trusted or host.endswith("." + trusted) for trusted in self.trusted_hosts)


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a key is bound to."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port
