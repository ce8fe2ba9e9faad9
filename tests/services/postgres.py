"""A PostgreSQL server of our own, from the programs that are installed: its own directory, port and password."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

PASSWORD = "kanarie+of/the:server"
UNPRIVILEGED = "postgres"


def programs() -> Path | None:
    """The folder with all that is needed: where Debian keeps it (the newest first), or on the PATH."""
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders = sorted(debian, key=lambda path: float(path.parent.name), reverse=True)
    found = shutil.which("initdb")
    folders += [Path(found).resolve().parent] if found else []
    needed = ("initdb", "postgres", "pg_isready", "psql")
    return next((path for path in folders if all((path / name).exists() for name in needed)), None)


def account() -> str | None:
    """Whom the server runs as: the server refuses root."""
    if os.geteuid() != 0:
        return None
    pwd.getpwnam(UNPRIVILEGED)
    return UNPRIVILEGED


class Server:
    """A server that can be stopped, killed and started again on the same port and data."""

    def __init__(self, home: Path, port: int) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        self._data = home / "data"
        self._log = home / "log"
        self._sockets = home
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://llmcore:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        secret = self._sockets / "password"
        secret.write_text(PASSWORD)
        if account():
            shutil.chown(secret, account())
        arguments = ["--username=llmcore", "--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8"]
        self._run([self._programs / "initdb", "--locale=C", *arguments, self._data])

    def start(self) -> None:
        """Until it answers. After a kill it refuses as long as a child of the old one still holds the shared memory."""
        for _ in range(300):
            if self._process is None or self._process.poll() is not None:
                self._launch()
            ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError(self._log.read_text()[-2000:])

    def _launch(self) -> None:
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._sockets}"]
        settings += ["-c", "fsync=off"]  # what a killed server has written, the kernel still has
        command = [self._programs / "postgres", "-D", self._data, "-p", str(self.port), *settings]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=account(), group=account(), cwd="/"
            )

    def stop(self) -> None:
        """As an operator would: connections are cut, what is committed is safe."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As a power cut would, but for the disk; its children notice and go."""
        self._end(signal.SIGKILL)
        for _ in range(100):  # the shared memory is free when the last child has gone
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                    return
            time.sleep(0.05)

    def empty(self) -> str:
        """The URL of the database, with nothing in it. Waits for connections that were left open, and then fails."""
        statements = ("SET lock_timeout = '5s'", "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "llmcore", "-d", "postgres"]
        commands = [part for statement in statements for part in ("-c", statement)]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        self._run([self._programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", *where, *commands], environment)
        return self.url()

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(60)

    def _run(self, command: list[Path | str], environment: dict[str, str] | None = None) -> None:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            user=account(),
            group=account(),
            cwd="/",
            env=environment,
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]


@contextmanager
def running() -> Iterator[Server]:
    """A started server; stopped, and its directory removed, at the end."""
    home = Path(tempfile.mkdtemp(prefix="llmcore-pg-"))
    if account():
        shutil.chown(home, account())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = Server(home, port)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
