"""Cases made by hand: what both sides saw, for the judges to judge."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from llmcore.chaos.nouns import COUNTED, Break, Case, Facts, Hit, Scenario, Seen
from llmcore.chaos.scenarios import chosen
from llmcore.types import Attempt, Usage

FACTS = Facts(("a", "b"), "a", retries=1)
FAILED = Attempt("a", "m", "ServerError", 500)
SERVED = Attempt("b", "m", "success")
RESCUED = Seen(
    "answered",
    1.0,
    text=COUNTED,
    first_s=0.5,
    finish_reason="stop",
    provider="b",
    model="m",
    usage=Usage(7, 60),
    attempts=(FAILED, SERVED),
)
HITS = (Hit("a", 0.0, 500, "answered"), Hit("b", 0.1, 200, "answered", 7, 60, model="m"))


def scenario(name: str) -> Scenario:
    (found,) = chosen([name])
    return found


def case(name: str = "S04", **changes: Any) -> Case:
    """A scenario that went well; the fields of Case to change, and those of its only call as `call`."""
    call = evolve(RESCUED, **changes.pop("call", {}))
    found = scenario(name)
    made = Case(found, found.breaks[0], "stream", FACTS, (call,), HITS)
    return evolve(made, **changes)


def refused(error: str, *chain: str, detail: str = "") -> dict[str, Any]:
    """The changes that turn the answer into a typed error."""
    return {
        "ended": "error",
        "error": error,
        "chain": chain or (error,),
        "detail": detail or error,
        "text": "",
        "provider": None,
        "model": None,
        "usage": Usage(),
        "finish_reason": None,
        "attempts": (FAILED,),
    }


__all__ = ["FACTS", "FAILED", "HITS", "RESCUED", "SERVED", "Break", "case", "refused", "scenario"]
