"""T17: what the environment says of proxies, passwords and certificates moves no key; no address tells what is in it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from llmcore.config import LlmConfig, ProviderConfig
from llmcore.gateway.config import GatewayConfig
from llmcore.serving.opened import opened
from llmcore.transport.tls import system_tls
from tests.gateway.threats.ground import Ground, ground, provider, question, upstream

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-of-the-environment-77"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "FTP_PROXY")


async def test_t17_no_proxy_and_no_netrc_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the system's providers, over the wires that are served, and by the list of models."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("default login mallory password netrc-canary\n")
    (home / ".netrc").chmod(0o600)
    async with upstream() as server, upstream() as proxy:
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://mallory:pw@127.0.0.1:{proxy.port}")
        for name in ("HOME", "NETRC"):
            monkeypatch.setenv(name, str(home / ".netrc" if name == "NETRC" else home))
        async with ground(tmp_path, provider("a", server)) as on, on.http() as http:
            assert (await http.post("/v1/chat/completions", json=question())).status_code == 200
            assert (await http.get("/v1/models")).status_code == 200
            assert (await http.post("/v1/embeddings", json={"input": "x"})).status_code == 200
        assert not proxy.connections
        assert len(server.seen) == 3
        assert b"netrc-canary" not in server.raw
        assert {seen.header("authorization") for seen in server.seen} == {"Bearer sk-of-the-operator-42"}


@pytest.mark.parametrize(
    "name", ["PYTHONHTTPSVERIFY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_TLS_REJECT_UNAUTHORIZED"]
)
def test_t17_no_variable_turns_the_check_of_certificates_off(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "0" if name.startswith(("PYTHON", "NODE")) else "")
    system_tls.cache_clear()
    context = system_tls()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_t17_no_address_tells_what_the_environment_holds(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": CANARY, "GROQ_API_KEY": CANARY, "LLMCORE_MASTER_KEY_FILE": CANARY}
    llm = LlmConfig((ProviderConfig("a", "openai", text_model="m"),), prices="off")
    config = GatewayConfig(data_dir=str(tmp_path), key_cache=0.0)
    async with opened(config, llm, environ) as ready:
        on = Ground(ready, tmp_path)
        user = await ready.services.store.users.create("root", "admin", now=1.0)
        on.ids["root"] = user.id
        on.keys["root"] = await on.key("root")
        said: list[Any] = []
        async with on.http("root") as http:
            for route in ready.app.table:
                if route.method == "GET" and route.media_type != "text/event-stream":
                    path = "/".join("x" if part.startswith("{") else part for part in route.path.split("/"))
                    if path not in {"/v1/models", "/api/models", "/api/settings/llm/models", "/v1/models/x"}:
                        said.append((path, (await http.get(path)).text))
        assert len(said) > 12
        assert [path for path, text in said if CANARY in text] == []
