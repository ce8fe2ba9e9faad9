"""Starts the upstreams on a core of their own: nginx for what it can serve, where it is installed; ours for the rest."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import payloads

ROOT = Path(__file__).resolve().parent.parent
OURS = "asyncio"


@dataclass(frozen=True)
class Upstreams:
    """ports: server name -> port. faulty: where the provider is that can be turned to fail."""

    ports: dict[str, int]
    versions: dict[str, str]
    faulty: int

    def server_for(self, answer: str) -> str:
        return "nginx" if answer in payloads.ANSWERS and "nginx" in self.ports else OURS

    def url(self, answer: str) -> str:
        return f"http://127.0.0.1:{self.ports[self.server_for(answer)]}/{answer}/v1"

    def pair(self) -> list[str]:
        """A provider that can be turned to fail, and a healthy one; both ours, so that who answers makes no difference."""
        return [f"http://127.0.0.1:{port}/chat/v1" for port in (self.faulty, self.ports[OURS])]


@contextmanager
def started(*, nginx: bool = True) -> Iterator[Upstreams]:
    """Both upstreams, until the block ends."""
    with ExitStack() as stack:
        port, faulty = stack.enter_context(_asyncio())
        ports = {OURS: port}
        versions = {OURS: f"asyncio, Python {sys.version.split()[0]}"}
        binary = find_nginx() if nginx else None
        served = _entered(stack, binary) if binary else None
        if binary and served is not None:
            ports["nginx"] = served
            told = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr
            versions["nginx"] = told.strip().removeprefix("nginx version: ")
        yield Upstreams(ports, versions, faulty)


def _entered(stack: ExitStack, binary: str) -> int | None:
    """nginx's port; None where this nginx does not take our configuration, which is said."""
    try:
        return stack.enter_context(_nginx(binary))
    except RuntimeError as error:
        print(f"{error}; ours answers everything", file=sys.stderr)
        return None


def find_nginx() -> str | None:
    return shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


@contextmanager
def _asyncio() -> Iterator[tuple[int, int]]:
    command = [sys.executable, "-m", "benchmarks.upstream"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        port, faulty = process.stdout.readline().split()
        yield int(port), int(faulty)
    finally:
        _end(process)


@contextmanager
def _nginx(binary: str) -> Iterator[int]:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        folder.chmod(0o755)  # a worker that is not root reads the answers
        payloads.write(folder / "answers")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (folder / "nginx.conf").write_text(nginx_config(folder, port))
        command = [binary, "-p", home, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            _await_port(port, process, folder / "error.log")
            yield port
        finally:
            _end(process)


def nginx_config(folder: Path, port: int) -> str:
    """One process on the second core, nothing logged, connections kept for ever; a POST is answered with a file.

    nginx serves files to GET only: 405 is turned into an internal redirect to the file.
    """
    affinity = "worker_cpu_affinity 10;" if (os.cpu_count() or 1) > 1 and sys.platform == "linux" else ""
    places = "\n".join(
        f"  location /{name}/ {{ error_page 405 =200 /answers/{name}; return 405; }}\n"
        f"  location = /answers/{name} {{ internal; types {{ }} default_type {kind}; }}"
        for name, (kind, _) in payloads.ANSWERS.items()
    )
    temporary = "\n".join(
        f" {name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
daemon off; worker_processes 1; {affinity} worker_rlimit_nofile 16384; pid {folder}/pid;
events {{ worker_connections 8192; }}
http {{
 access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; tcp_nodelay on; sendfile on;
 client_body_buffer_size 1m; client_max_body_size 16m; open_file_cache max=100;
{temporary}
 server {{
  listen 127.0.0.1:{port} backlog=4096;
  root {folder};
{places}
 }}
}}
"""


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            msg = f"nginx did not start: {log.read_text().strip()}"
            raise RuntimeError(msg)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    msg = "nginx does not listen"
    raise RuntimeError(msg)


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
