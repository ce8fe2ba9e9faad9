"""`examples/demo.py` as `make demo` runs it: a process that prints an address, a key and a link, ended with the block."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.browser.served import found_in, running

ROOT = Path(__file__).resolve().parents[2]


@frozen
class Demo:
    """What a newcomer reads in the terminal. link: signs in once; ollama, vllm: simulated servers to enter as one's own."""

    said: str
    address: str
    link: str
    key: str
    ollama: str
    vllm: str
    vllm_key: str

    @property
    def token(self) -> str:
        return self.link.partition("#token=")[2]


@contextmanager
def demo(folder: Path) -> Iterator[Demo]:
    """Without any vendor's key, as on a fresh machine."""
    env = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    command = [sys.executable, str(ROOT / "examples" / "demo.py")]
    with running(command, into=folder / "demo.log", until="vLLM ", env=env) as said:
        yield Demo(
            said,
            found_in(said, r"gateway at (http://\S+)"),
            found_in(said, r"(http://\S+#token=\S+)"),
            found_in(said, r"API key, shown once: (llmc-\S+)"),
            found_in(said, r"Ollama +address (\S+)"),
            found_in(said, r"vLLM +address (\S+)"),
            found_in(said, r"vLLM +address \S+ +key (\S+)"),
        )
