"""Start `tests.gateway.writer`, kill it, and read what it said it had committed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Writer:
    """A process that writes; `kill` is SIGKILL."""

    def __init__(self, url: str, key_file: Path, mode: str, said: Path) -> None:
        self._said = said
        with said.open("ab") as out, said.with_suffix(".err").open("ab") as err:
            command = [sys.executable, "-m", "tests.gateway.writer", url, str(key_file), mode]
            self._process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT)

    def wait_for(self, word: str, count: int = 1) -> None:
        """Until it has said so many lines that begin with `word`."""
        for _ in range(1200):
            if sum(line.startswith(word) for line in self.lines()) >= count:
                return
            assert self._process.poll() is None, self.errors()
            time.sleep(0.025)
        raise AssertionError(f"no {count} lines of {word}: {self.errors()}")

    def kill(self) -> None:
        assert self._process.poll() is None, self.errors()
        self._process.kill()
        self._process.wait(30)

    def end(self) -> int:
        return self._process.wait(60)

    def lines(self) -> list[str]:
        """Whole lines: the last one may have been cut."""
        return self._said.read_text().split("\n")[:-1]

    def errors(self) -> str:
        return self._said.with_suffix(".err").read_text()[-2000:]


def last_saved(lines: list[str]) -> dict[str, int]:
    """The highest version of each user that was said to be committed."""
    found: dict[str, int] = {}
    for line in lines:
        if line.startswith("saved "):
            _, user, version, _ = line.split(" ")
            found[user] = max(found.get(user, 0), int(version))
    return found
