"""A Redis server of our own, from the program that is installed: its own directory, port and password."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "canary-of-the-redis-server"


def program() -> str | None:
    return shutil.which("redis-server")


class Server:
    """A server that can be stopped, killed, frozen and started again on the same port. It keeps nothing on disk."""

    def __init__(self, home: Path, port: int) -> None:
        self._home = home
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        found = program()
        assert found is not None
        command = [found, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._home)]
        command += ["--save", "", "--appendonly", "no", "--requirepass", PASSWORD]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._home)
        for _ in range(400):
            assert self._process.poll() is None, (self._home / "log").read_text()[-2000:]
            if self.answers():
                return
            time.sleep(0.025)
        raise AssertionError((self._home / "log").read_text()[-2000:])

    def answers(self) -> bool:
        try:
            return self.say("PING") == "+PONG"
        except OSError:
            return False

    def say(self, *words: str) -> str:
        """One command in plain words; the first line of its answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            lines = connection.makefile("rwb")
            for line in (("AUTH", PASSWORD), words):
                lines.write(" ".join(line).encode() + b"\r\n")
                lines.flush()
                said = lines.readline().decode().strip()
            return said

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It lives, keeps its connections, and does nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            process.wait(30)


@contextmanager
def running() -> Iterator[Server]:
    """A started server; stopped, and its directory removed, at the end."""
    home = Path(tempfile.mkdtemp(prefix="llmcore-redis-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = Server(home, port)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
