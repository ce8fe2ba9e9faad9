"""The headers that every answer bears, at every address and for every error; and the number of a request."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.pages.views import PAGES
from tests.gateway.threats.ground import ground, provider, upstream

pytestmark = pytest.mark.anyio

EACH = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}
POLICY = {
    *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"),
    *("frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"),
}


def check(reply: httpx.Response, where: str) -> None:
    for name, value in EACH.items():
        assert value in reply.headers.get(name, ""), f"{where}: {name} is {reply.headers.get(name)!r}"
    assert "server" not in reply.headers, where
    assert "access-control-allow-origin" not in reply.headers, where


async def test_every_address_bears_them_good_or_bad(tmp_path: Path) -> None:
    async with upstream() as server, ground(tmp_path, provider("a", server)) as on:
        for who in (None, "alice", "admin"):
            async with on.http(who) as http:
                for route in on.ready.app.table:
                    if route.path.endswith("/events") or route.name in {"sign_out", "provider_remove"}:
                        continue
                    path = re.sub(r"\{[^}]+\}", "x", route.path)
                    for body in (b"{}", b"{broken"):
                        headers = {"content-type": "application/json"}
                        content = body if route.request is not None else b""
                        reply = await http.request(route.method, path, content=content, headers=headers)
                        check(reply, f"{who} {route.method} {path} {reply.status_code}")
                        assert reply.headers.get("x-request-id"), path
                for method, path in (("GET", "/nothing"), ("GET", "/v1/nothing"), ("PATCH", "/v1/models")):
                    check(await http.request(method, path), path)
                check(await http.get("/healthz", headers={"host": "evil.test"}), "another host")


@pytest.mark.parametrize("secure", [False, True])
async def test_pages_bear_the_policy_too(tmp_path: Path, secure: bool) -> None:
    config = GatewayConfig(public_url="https://127.0.0.1") if secure else GatewayConfig()
    async with (
        upstream() as server,
        ground(tmp_path, provider("a", server), config=config) as on,
        on.http(None) as http,
    ):
        for path in (*(page.path for page in PAGES), "/sign-in", "/nothing"):
            reply = await http.get(path)
            check(reply, path)
            policy = {part.strip() for part in reply.headers["content-security-policy"].split(";")}
            assert policy >= POLICY, policy
            assert "unsafe" not in reply.headers["content-security-policy"]
            assert ("strict-transport-security" in reply.headers) == secure


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("abc-DEF_123", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("a b", False),
        ("a\tb", False),
        ("<script>", False),
        ("a;b", False),
        ("../x", False),
    ],
)
async def test_the_number_of_a_request_is_the_clients_where_it_is_one(
    tmp_path: Path, said: str, kept: bool
) -> None:
    async with upstream() as server, ground(tmp_path, provider("a", server)) as on, on.http() as http:
        reply = await http.get("/v1/models", headers={"x-request-id": said})
        assert (reply.headers["x-request-id"] == said) == kept
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,128}", reply.headers["x-request-id"])
