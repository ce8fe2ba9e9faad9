"""`make bench`: every client on every case, one fresh process a sample, in interleaved rounds; medians of CPU time."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".benchvenvs"
CASES = {
    "generate, 1 in flight": (1, 400, "plain"),
    "generate, 64 in flight": (64, 1920, "plain"),
    "stream, per event": (1, 20, "stream"),
}
CLIENTS = (
    "raw asyncio",
    "httpx",
    "openai SDK",
    "llmcore leaf, fast",
    "llmcore manager of 2, fast",
    "llmcore manager of 2, everything on",
    "llmcore manager of 2, httpx",
    "llmcore failover (first answers 500)",
)


def python_for(client: str) -> str | None:
    """The interpreter that has this client; peers live in environments of their own, made here."""
    if client != "openai SDK":
        return sys.executable
    home = PEERS / "openai"
    python = home / "bin" / "python"
    if not python.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            subprocess.run(
                [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "openai"],
                check=True,
            )
        except subprocess.CalledProcessError:
            return None
    return str(python)


def measure(python: str, client: str, port: int, case: tuple[int, int, str]) -> dict[str, float] | str:
    width, calls, kind = case
    command = [
        python,
        str(HERE / "client.py"),
        client,
        f"http://127.0.0.1:{port}/v1",
        str(width),
        str(calls),
        kind,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no output"])[-1]
    found: dict[str, float] = json.loads(done.stdout)
    return found


def import_ms(python: str, module: str) -> float:
    code = f"import time; began = time.perf_counter(); import {module}; print((time.perf_counter() - began) * 1000)"
    return min(
        float(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    )


def table(results: dict[str, dict[str, list[float]]]) -> str:
    lines = ["| CPU µs | " + " | ".join(CASES) + " |", "|---|" + "---|" * len(CASES)]
    for client in CLIENTS:
        cells = []
        for case in CASES:
            found = results[case].get(client)
            if not found:
                cells.append("not run")
            else:
                cells.append(f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f})")
        lines.append(f"| {client} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def beside_the_leaf(results: dict[str, dict[str, list[float]]]) -> str:
    """What the manager's policies cost on the happy path, above the bare leaf in the same run."""
    leaf = "llmcore leaf, fast"
    lines = []
    for client in ("llmcore manager of 2, fast", "llmcore manager of 2, everything on"):
        for case in CASES:
            if results[case].get(leaf) and results[case].get(client):
                more = statistics.median(results[case][client]) - statistics.median(results[case][leaf])
                lines.append(f"{client}, {case}: {more:+.1f} µs above the bare leaf")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    upstream = subprocess.Popen(
        [sys.executable, str(HERE / "upstream.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert upstream.stdout is not None
    port = int(upstream.stdout.readline())
    pythons = {client: python_for(client) for client in CLIENTS}
    results: dict[str, dict[str, list[float]]] = {case: {} for case in CASES}
    total, done, began = rounds * len(CASES) * len(CLIENTS), 0, time.monotonic()
    try:
        for _ in range(rounds):
            for case, settings in CASES.items():
                for client, python in pythons.items():
                    found = measure(python, client, port, settings) if python else "cannot be installed"
                    if isinstance(found, str):
                        print(f"\n{client}, {case}: {found}", file=sys.stderr)
                    else:
                        results[case].setdefault(client, []).append(found["cpu_us"])
                    done += 1
                    if sys.stderr.isatty():
                        print(
                            f"\r{done}/{total} samples, {time.monotonic() - began:.0f} s",
                            end="",
                            file=sys.stderr,
                        )
    finally:
        upstream.terminate()
        upstream.wait()
    print(
        f"\n{table(results)}\n\nMedian of {rounds} rounds (least to most); client and upstream on a core each.\n"
    )
    print(beside_the_leaf(results) + "\n")
    for client, module in (("raw asyncio", "llmcore"), ("raw asyncio", "httpx"), ("openai SDK", "openai")):
        python = pythons[client]
        print(
            f"import {module}: {import_ms(python, module):.0f} ms"
            if python
            else f"import {module}: not installed"
        )
    (HERE / "out").mkdir(exist_ok=True)
    (HERE / "out" / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
