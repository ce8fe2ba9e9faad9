"""Where the servers that pass bytes through send a request: by the first part of its path; no imports that cost."""

from __future__ import annotations

import json
import os

VARIABLE = "BENCH_UPSTREAMS"
"""JSON of answer -> base URL."""

URLS = {name: f"{url}/chat/completions" for name, url in json.loads(os.environ.get(VARIABLE, "{}")).items()}
KEY = "Bearer upstream"


def url_of(path: str) -> str:
    """/chat/v1/chat/completions -> the address of the upstream that is called "chat"."""
    return URLS[path.split("/", 2)[1]]
