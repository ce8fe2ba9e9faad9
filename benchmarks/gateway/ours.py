"""Our gateway set up as a team would run it: its database, a first user, and a virtual key with limits that are counted."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

from benchmarks.gateway.process import DidNotStart, Running
from benchmarks.gateway.roster import Urls

LIMITS = {"rpm": 1_000_000_000, "tpm": 2_000_000_000, "budget_usd": 2000, "budget_period": "total"}
"""Counted and settled on every call, and never reached."""


def write_config(home: Path, urls: Urls) -> Path:
    """One provider for each answer, and a price, so that money is counted too."""
    providers = "".join(
        f"""
[[llm.providers]]
name = "{name}"
provider = "openai_compatible"
base_url = "{url}"
api_key = "upstream"
text_model = "bench"
prices = {{ "*" = {{ input = 0.001, output = 0.002 }} }}
"""
        for name, url in urls.items()
    )
    path = home / "config.toml"
    path.write_text(providers + "\n[gateway.limits]\nper_user = 2000\n")
    return path


def limited_key(running: Running) -> str:
    """A virtual key with limits, made through the API with the first key, which the first start shows."""
    found = None
    for _ in range(100):
        found = re.search(r"API key, shown once: (\S+)", running.log.read_text())
        if found:
            break
        time.sleep(0.05)
    if not found:
        raise DidNotStart("the first start shows no key")
    body = json.dumps({"name": "bench", "scopes": ["inference"], **LIMITS}).encode()
    headers = {"authorization": f"Bearer {found[1]}", "content-type": "application/json"}
    request = Request(f"http://127.0.0.1:{running.port}/api/keys", body, headers)
    with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
        token: str = json.load(answer)["token"]
    return token
