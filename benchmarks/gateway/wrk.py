"""wrk as the maker of load, where it is installed: a call costs it a few µs, so that it is never the limit."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from benchmarks.gateway.load import CORE, request
from benchmarks.machine import pin

_SCRIPT = """
wrk.method = "POST"
wrk.body = %(body)s
wrk.headers = {%(headers)s}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nBENCH %%d %%d %%d %%d\\n", summary.requests, summary.duration, latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def find_wrk() -> str | None:
    return shutil.which("wrk")


def throughput(binary: str, ask: dict[str, Any], concurrency: int, seconds: float) -> dict[str, Any]:
    """As `load.throughput`. Raises RuntimeError where an answer is not good."""
    body = request(ask).split(b"\r\n\r\n", 1)[1].decode()
    headers = {"content-type": "application/json", **ask["headers"]}
    said = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
    with tempfile.TemporaryDirectory() as home:
        script = Path(home) / "ask.lua"
        script.write_text(_SCRIPT % {"body": json.dumps(body), "headers": said})
        before = getrusage(RUSAGE_CHILDREN)
        words = [
            binary,
            "-t1",
            f"-c{concurrency}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "60s",
            "-s",
            str(script),
            ask["url"],
        ]
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=seconds + 60,
            preexec_fn=partial(pin, CORE),
        )
        after = getrusage(RUSAGE_CHILDREN)
    return figures(done.stdout, (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime))


def figures(said: str, cpu_s: float) -> dict[str, Any]:
    """What wrk printed, as figures."""
    line = next((line for line in said.splitlines() if line.startswith("BENCH ")), None)
    if line is None:
        raise RuntimeError("wrk says nothing")
    made, micros, p99, errors = map(int, line.split()[1:])
    if errors:
        msg = f"{errors} of {made} answers were not good"
        raise RuntimeError(msg)
    return {
        "requests_per_s": made / micros * 1e6,
        "loaded_p99_ms": p99 / 1e3,
        "generator": "wrk",
        "generator_cpu_s": cpu_s,
    }
