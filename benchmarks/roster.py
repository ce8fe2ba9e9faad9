"""Who is measured: where each client comes from, how it is opened, which cases it takes part in."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.cases import Case

OURS = "llmcore"
"""The environment of our own clients; it holds this checkout as `pip install llmcore-kit[fast]` would."""

CALLS = frozenset({"start", "generate", "stream", "first", "embeddings", "soak"})
GROWTH = frozenset({"providers", "in-flight"})
FAILOVER = frozenset({"failover"})


@dataclass(frozen=True)
class Entry:
    """key: for the command line. name: as tables show it. venv: its environment. opens: "module:name" in clients/.

    module: what a user imports; None where another row of the same environment stands for it. does: groups of cases.
    lacks: cases of these groups that it has no means for. settle: calls after which its failover has settled.
    slow: takes part in two rounds of three. quick: is in `make bench`.
    """

    key: str
    name: str
    venv: str
    opens: str
    module: str | None = None
    does: frozenset[str] = CALLS
    lacks: frozenset[str] = frozenset()
    settle: int = 3
    slow: bool = False
    quick: bool = False

    def takes(self, case: Case) -> bool:
        return (
            case.group in self.does
            and case.name not in self.lacks
            and (case.measure != "import" or self.module is not None)
        )


@dataclass(frozen=True)
class Environment:
    """requirements: for pip. packages: whose versions are recorded."""

    requirements: tuple[str, ...]
    packages: tuple[str, ...]


RAW = "raw asyncio"
LEAF = "llmcore leaf, fast"
MANAGER = "llmcore manager of 2, fast"
EVERYTHING = "llmcore manager of 2, everything on"
MANAGER_HTTPX = "llmcore manager of 2, httpx"

ROSTER = [
    Entry("raw", RAW, OURS, "raw:Raw", "asyncio", CALLS | GROWTH, quick=True),
    Entry("leaf", LEAF, OURS, "ours:leaf", quick=True),
    Entry("manager", MANAGER, OURS, "ours:manager", "llmcore", CALLS | GROWTH, quick=True),
    Entry("everything", EVERYTHING, OURS, "ours:manager_everything", None, CALLS | GROWTH, quick=True),
    Entry("manager-httpx", MANAGER_HTTPX, OURS, "ours:manager_httpx"),
]
CLIENTS = {entry.name: entry for entry in ROSTER}
ENVIRONMENTS = {
    OURS: Environment(
        ("--editable", ".[fast]"), ("llmcore-kit", "httpx", "aiohttp", "httptools", "anyio", "msgspec")
    ),
}
