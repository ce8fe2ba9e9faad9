"""What a sample asks of a client, and what it tells the client about the sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from benchmarks.payloads import TOOL, VECTORS

PROMPT = "hi"
KEY = "k"
MODEL = "bench"
MESSAGES: list[Any] = [{"role": "user", "content": PROMPT}]
TEXTS = [f"text number {index} of a batch to embed" for index in range(VECTORS)]


@dataclass(frozen=True)
class Setting:
    """urls: in the order in which they are to be asked, ending in /v1. tools: the request offers a tool.

    encoding: of the vectors to ask for. concurrency: calls at the same time, for clients whose pool has to be told.
    """

    urls: Sequence[str]
    concurrency: int = 1
    tools: bool = False
    encoding: str = "float"

    @property
    def url(self) -> str:
        return self.urls[0]

    @property
    def asked_tools(self) -> list[Any] | None:
        return [TOOL] if self.tools else None


class Seen:
    """Counts what a stream showed; `first` is when the first of it came (perf_counter)."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.count = 0
        self.first = 0.0

    def note(self) -> None:
        if not self.count:
            self.first = perf_counter()
        self.count += 1


class Client(Protocol):
    """One client, ready to be called many times at once. A method that is missing is a case that it cannot do."""

    async def generate(self) -> str:
        """The text of one answer."""
        ...

    async def stream(self) -> Seen:
        """One stream to its end: pieces of text or of a tool call's arguments, as typed events where the client has them."""
        ...

    async def embed(self) -> int:
        """How many numbers the vectors of TEXTS hold together."""
        ...

    async def aclose(self) -> None: ...
