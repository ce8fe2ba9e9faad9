"""Browsers: which Host is answered (T2, T22, T23), and what an unsafe request with a cookie must prove (T7)."""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from ipaddress import ip_address

from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.errors import Forbidden, GatewayError
from llmcore.gateway.http import Head

SAFE = frozenset(("GET", "HEAD", "OPTIONS"))

PROBES = frozenset(("/healthz", "/readyz"))
"""What orchestrators ask by the address of a pod. They tell nothing and change nothing, and answer to any address: what
a rebound name sends as Host is that name, never an address.
"""


def host_label(value: bytes) -> str | None:
    """The name in a Host header, in lower case, without port; None where it is none."""
    if not value.isascii():
        return None
    text = value.decode("ascii").strip().lower()
    if text.startswith("["):
        name, closed, port = text[1:].partition("]")
        port = port.removeprefix(":")
        if not closed:
            return None
    else:
        name, _, port = text.partition(":")
    if port and not port.isdigit():
        return None
    return name.removesuffix(".") or None


class Hosts:
    """The names under which this gateway answers; what was good once is remembered as it was written."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._good: set[bytes] = set()

    def check(self, headers: Iterable[tuple[bytes, bytes]], path: str = "") -> None:
        """Raises 421 for a Host that is not ours, 400 where there is none, or several. path: see `PROBES`."""
        found: bytes | None = None
        for name, value in headers:
            if name == b"host":
                if found is not None:
                    raise GatewayError("there is more than one Host header", status=400, code="bad_host")
                found = value
        if found is None:
            raise GatewayError("the Host header is missing", status=400, code="bad_host")
        if found in self._good:
            return
        label = host_label(found)
        if path in PROBES and _is_address(label):
            return
        if label not in self._names:
            raise GatewayError(
                "this gateway does not answer under that host name; add it to allowed_hosts",
                status=421,
                code="misdirected_request",
                type="invalid_request_error",
            )
        if len(self._good) < 64:
            self._good.add(found)


def _is_address(label: str | None) -> bool:
    try:
        ip_address(label or "")
    except ValueError:
        return False
    return True


def check_same_origin(config: GatewayConfig, head: Head, method: str, csrf: str | None) -> None:
    """An unsafe request that bears a cookie: from our own pages, with the token of its session. Raises Forbidden."""
    if method in SAFE:
        return
    site = head.get(b"sec-fetch-site")
    if site is not None and site != b"same-origin":
        raise _foreign()
    if head.get(b"origin") not in _origins(config, head):
        raise _foreign()
    said = head.get(b"x-csrf-token")
    if csrf is None or said is None or not compare_digest(said, csrf.encode()):
        raise Forbidden("the CSRF token is missing or old; load the page again", code="csrf")


def _foreign() -> Forbidden:
    return Forbidden("requests with a cookie are taken from this gateway's own pages only", code="csrf")


def _origins(config: GatewayConfig, head: Head) -> frozenset[bytes]:
    """Our own origins, as browsers write them: the public one, or the one that was asked for."""
    if config.public_url is not None:
        return frozenset((config.public_url.rstrip("/").encode(),))
    host = head.get(b"host") or b""
    return frozenset((b"http://" + host, b"https://" + host))
