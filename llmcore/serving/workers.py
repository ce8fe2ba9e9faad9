"""Several processes behind one socket: started, watched, started again where one dies, stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType

HANDED_ON = "LLMCORE_SERVE"
"""The variable in which a worker finds what its parent was told."""

SOCKET = "LLMCORE_SERVE_SOCKET"
"""The variable with the number of the inherited socket."""

PARENT = "LLMCORE_SERVE_PARENT"
"""The variable with the number of a pipe that ends with the parent, however that ends."""

PAUSE_S = 0.2
SOON_S = 5.0
"""A worker that dies within so long of its start is a broken one; three of them in a row end everything."""


class Workers:
    """now: monotonic seconds; drain: seconds that they get to end."""

    def __init__(
        self, count: int, told: str, socket: int, *, drain: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._parent, self._alive = os.pipe()
        self._environ = {**os.environ, HANDED_ON: told, SOCKET: str(socket), PARENT: str(self._parent)}
        self._socket = socket
        self._drain = drain
        self._now = now
        self._running: dict[subprocess.Popen[bytes], float] = {}
        self._stopping = False
        self._broken = 0

    def run(self) -> int:
        """Until a signal comes: 0; 1 where the workers cannot start."""
        before = {one: signal.signal(one, self._stop) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self._stopping and self._broken < 3:
                while len(self._running) < self._count:
                    self._start()
                time.sleep(PAUSE_S)
                self._look()
            self._end()
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
            os.close(self._parent)
            os.close(self._alive)
        return 0 if self._stopping else 1

    def _start(self) -> None:
        command = [sys.executable, "-m", "llmcore.serving.worker"]
        process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
            command, env=self._environ, pass_fds=(self._socket, self._parent), start_new_session=True
        )
        self._running[process] = self._now()

    def _look(self) -> None:
        for process, since in list(self._running.items()):
            if process.poll() is not None:
                del self._running[process]
                self._broken = self._broken + 1 if self._now() - since < SOON_S else 0

    def _end(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        ends = self._now() + self._drain + SOON_S
        for process in self._running:
            try:
                process.wait(max(0.1, ends - self._now()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
