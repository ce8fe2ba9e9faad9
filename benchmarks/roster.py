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
    slow: takes part in fewer rounds. quick: is in `make bench`.
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

    def takes_turn(self, case: Case, turn: int) -> bool:
        """Whether it takes part in a round; slow ones leave out every third, and others than ours soak once."""
        if case.measure == "soak" and self.venv != OURS and turn:
            return False
        return self.takes(case) and not (self.slow and turn % 3 == 1)


@dataclass(frozen=True)
class Environment:
    """requirements: for pip. packages: whose versions are recorded."""

    requirements: tuple[str, ...]
    packages: tuple[str, ...]


RAW = "raw asyncio"
LEAF = "llmcore leaf, fast"
MANAGER = "llmcore manager of 2, fast"
EVERYTHING = "llmcore manager of 2, everything on"
MANAGER_RARE_GC = "llmcore manager of 2, gc threshold 50,000"
MANAGER_HTTPX = "llmcore manager of 2, httpx"
OPENAI = "openai SDK"
PYDANTIC_AI = "pydantic-ai direct"
ROUTER = "LiteLLM Router"
BARE_LOOP = "bare loop over raw asyncio"
FAILOVER_AT_ONCE = "llmcore, max_retries = 0, no breaker or pace"
FAILOVER_NO_RETRIES = "llmcore, max_retries = 0"
FAILOVER_DEFAULT = "llmcore, defaults"
ROUTER_FAILOVER = "LiteLLM Router, defaults"
ROUTER_TUNED = "LiteLLM Router, tuned"

_EMBED = frozenset({"embed-float", "embed-base64"})

ROSTER = [
    Entry("raw", RAW, OURS, "raw:Raw", "asyncio", CALLS | {"in-flight"}, quick=True),
    Entry("leaf", LEAF, OURS, "ours:leaf", quick=True),
    Entry("manager", MANAGER, OURS, "ours:manager", "llmcore", CALLS | GROWTH, quick=True),
    Entry("everything", EVERYTHING, OURS, "ours:manager_everything", None, CALLS | GROWTH, quick=True),
    Entry("manager-rare-gc", MANAGER_RARE_GC, OURS, "ours:manager_rare_gc", None, frozenset({"in-flight"})),
    Entry("manager-httpx", MANAGER_HTTPX, OURS, "ours:manager_httpx"),
    Entry("pyreqwest", "pyreqwest", "pyreqwest", "http_libraries:Pyreqwest", "pyreqwest.client"),
    Entry("aiohttp", "aiohttp", "aiohttp", "http_libraries:Aiohttp", "aiohttp"),
    Entry("httpx", "httpx", "httpx", "http_libraries:httpx", "httpx", quick=True),
    Entry("httpx2", "httpx2", "httpx2", "http_libraries:httpx2", "httpx2"),
    Entry("openai", OPENAI, "openai", "openai_sdk:OpenAI", "openai", slow=True, quick=True),
    Entry("openai-aiohttp", "openai SDK, aiohttp", "openai-aiohttp", "openai_sdk:over_aiohttp", slow=True),
    Entry("any-llm", "any-llm", "any-llm", "any_llm_sdk:AnyLlm", "any_llm", slow=True),
    Entry("aisuite", "aisuite", "aisuite", "aisuite_chat:Aisuite", "aisuite", lacks=_EMBED, slow=True),
    Entry("langchain", "langchain-openai", "langchain", "langchain_chat:LangChain", "langchain_openai", slow=True),
    Entry("pydantic-ai", PYDANTIC_AI, "pydantic-ai", "pydantic_direct:PydanticAI", "pydantic_ai.direct", slow=True),
    Entry("litellm", "LiteLLM acompletion", "litellm", "litellm_sdk:acompletion", "litellm", slow=True),
    Entry("litellm-router", ROUTER, "litellm", "litellm_sdk:router", slow=True, quick=True),
    # rows of the failover table alone
    Entry("failover-bare", BARE_LOOP, OURS, "raw:Raw", None, FAILOVER, settle=1),
    Entry("failover-at-once", FAILOVER_AT_ONCE, OURS, "ours:failover_at_once", None, FAILOVER, settle=1, quick=True),
    Entry("failover-no-retries", FAILOVER_NO_RETRIES, OURS, "ours:failover_no_retries", None, FAILOVER),
    Entry("failover-default", FAILOVER_DEFAULT, OURS, "ours:manager", None, FAILOVER, quick=True),
    Entry("failover-router", ROUTER_FAILOVER, "litellm", "litellm_sdk:failover", None, FAILOVER, settle=1, slow=True),
    Entry("failover-tuned", ROUTER_TUNED, "litellm", "litellm_sdk:failover_tuned", None, FAILOVER, slow=True),
    Entry("failover-langchain", "LangChain with_fallbacks", "langchain", "langchain_chat:failover", None, FAILOVER, settle=1, slow=True),
    Entry(
        "failover-langchain-0", "LangChain with_fallbacks, max_retries=0", "langchain",
        "langchain_chat:failover_no_retries", None, FAILOVER, settle=1, slow=True,
    ),
    Entry("failover-pydantic", "pydantic-ai FallbackModel", "pydantic-ai", "pydantic_direct:failover", None, FAILOVER, settle=1, slow=True),
    Entry(
        "failover-pydantic-0", "pydantic-ai FallbackModel, max_retries=0", "pydantic-ai",
        "pydantic_direct:failover_no_retries", None, FAILOVER, settle=1, slow=True,
    ),
]  # fmt: skip
CLIENTS = {entry.name: entry for entry in ROSTER}
_SDK = ("openai", "httpx", "httpx2", "httpx-aiohttp", "aiohttp", "pydantic")
ENVIRONMENTS = {
    OURS: Environment(
        ("--editable", ".[fast]"),
        ("llmcore-kit", "httptools", "aiohttp", "httpx", "anyio", "msgspec", "attrs"),
    ),
    "pyreqwest": Environment(("pyreqwest",), ("pyreqwest",)),
    "aiohttp": Environment(("aiohttp",), ("aiohttp",)),
    "httpx": Environment(("httpx",), ("httpx", "httpcore", "h11")),
    "httpx2": Environment(("httpx2",), ("httpx2", "httpcore2", "h11")),
    "openai": Environment(("openai",), _SDK),
    "openai-aiohttp": Environment(("openai[aiohttp]",), _SDK),
    "any-llm": Environment(("any-llm-sdk[openai]",), ("any-llm-sdk", *_SDK)),
    "aisuite": Environment(("aisuite[openai]",), ("aisuite", *_SDK)),
    "langchain": Environment(("langchain-openai",), ("langchain-openai", "langchain-core", *_SDK)),
    "pydantic-ai": Environment(("pydantic-ai-slim[openai]",), ("pydantic-ai-slim", *_SDK)),
    "litellm": Environment(("litellm", "mcp"), ("litellm", *_SDK)),  # without mcp, a call with tools fails
}
