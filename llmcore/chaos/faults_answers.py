"""More scenarios, what comes instead of an answer: wrong bodies, refusals, outages, and callers that leave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmcore.chaos.faults import body_instead
from llmcore.chaos.nouns import Bounds, Break, Scenario, Traffic, Way

_STREAM: tuple[Way, ...] = ("stream",)
_WHOLE: tuple[Way, ...] = ("generate",)
_ONCE = Bounds(broken=1)

TOOL_ARGUMENTS: Mapping[str, Any] = {"city": "Oslo", "days": 3}
_ARGUMENTS = json.dumps(TOOL_ARGUMENTS)


_TOKEN_FIELDS = (
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "output_tokens",
    "promptTokenCount",
    "candidatesTokenCount",
    "prompt_eval_count",
    "eval_count",
)


def _usage_as(value: str) -> dict[str, Any]:
    """A rule that puts `value` where every dialect writes its token counts."""
    return {"replace": [[f'"{name}":', f'"{name}":{value},"was":'] for name in _TOKEN_FIELDS]}


def _waits(*values: str) -> tuple[Break, ...]:
    return tuple(
        Break(f"retry-after: {value}", rules=({"status": 429, "headers": {"retry-after": value}},))
        for value in values
    )


ANSWERS: tuple[Scenario, ...] = (
    Scenario(
        "F29", "error before the first word", "The stream begins with an error.", (29,), (Break(model="error-0"),),
        _STREAM,
    ),
    Scenario(
        "F30", "error after five words", "The stream turns into an error.", (30,), (Break(model="error-5"),), _STREAM
    ),
    Scenario(
        "F31", "error body with 200", "An error that calls itself a success.", (31,), (Break(model="json-200"),)
    ),
    Scenario(
        "F33",
        "wrong content type",
        "A good answer under a wrong label.",
        (33,),
        (Break("text/plain", rules=({"content_type": "text/plain"},)),),
        _WHOLE,
        bounds=_ONCE,
    ),
    Scenario(
        "F34",
        "HTML instead of an answer",
        "An error page of a proxy, or the login page of a network.",
        (34,),
        (Break("502", model="html-502"), Break("login page", model="html-200")),
    ),
    Scenario(
        "F35",
        "gzip bomb",
        "A small body that unpacks to a gigabyte.",
        (35,),
        (Break(model="gzip-bomb"), Break("garbage", model="gzip-garbage")),
        bounds=Bounds(seconds=20.0),
        alone=True,
    ),
    Scenario(
        "F36",
        "a body without end",
        "Bytes come for ever.",
        (36,),
        (
            Break(rules=({"drop": ["finish", "usage", "done"], "flood": True},), way="stream"),
            Break(rules=({"content_length_off": 1_000_000_000, "flood": True},), way="generate"),
        ),
        bounds=Bounds(seconds=20.0),
        alone=True,
    ),
    Scenario(
        "F37",
        "one line of 20 MB",
        "An event that does not end.",
        (37,),
        (Break(rules=({"long_line_mb": 20},)),),
        _STREAM,
        bounds=Bounds(seconds=20.0),
        alone=True,
    ),
    Scenario(
        "F38",
        "monstrous headers",
        "Ten thousand headers, one of a megabyte, one with broken letters.",
        (38,),
        (Break("10,000", rules=({"extra_headers": 10_000},)), Break("1 MB", rules=({"header_kb": 1000},)),
         Break("broken", rules=({"bad_header": True},))),
        _STREAM,
        alone=True,
    ),
    Scenario(
        "F39",
        "redirect elsewhere",
        "The answer sends the client, and its key, to another host.",
        (39,),
        tuple(Break(str(status), rules=({"status": status, "body": ""},), trap=True) for status in (301, 302, 307, 308)),
        bounds=_ONCE,
    ),
    Scenario(
        "F40",
        "early hints first",
        "Informational answers come before the real one.",
        (40,),
        (Break(rules=({"informational": [103, 103]},)),),
        bounds=_ONCE,
    ),
    Scenario(
        "F43",
        "absurd token counts",
        "Usage is NaN, infinite, negative or text.",
        (43, 44),
        tuple(Break(value, rules=(_usage_as(value),)) for value in ("NaN", "1e999", "-7", '"many"')),
        bounds=_ONCE,
        judge="usage",
    ),
    Scenario(
        "F45",
        "JSON 100,000 deep",
        "An answer of brackets.",
        (45,),
        (body_instead("lists", "[" * 100_000), body_instead("objects", '{"a":' * 50_000)),
        _WHOLE,
        alone=True,
    ),
    Scenario(
        "F46",
        "tool arguments cut",
        "The model's call of a tool breaks off.",
        (46,),
        (Break("cut", rules=({"cut_after_events": 2},)),
         Break("ends early", rules=({"cut_after_events": 2, "cut_how": "end"},))),
        _STREAM,
        Traffic(f"call weather with {_ARGUMENTS}", _ARGUMENTS, tool=True),
        judge="tool",
    ),
)  # fmt: skip

REFUSALS: tuple[Scenario, ...] = (
    Scenario(
        "F50",
        "too long for everybody",
        "The prompt does not fit, and no other provider has a larger window.",
        (),
        (Break(model="context-400", same_window=True),),
        bounds=_ONCE,
        judge="context",
        allowed=("ContextLengthError",),
    ),
    Scenario(
        "F51",
        "429 with odd waits",
        "The rate limit's Retry-After is zero, negative, no number, a past date or a year.",
        (51,),
        _waits("0", "-5", "abc", "1e9", "99999999999999999999", "Wed, 21 Oct 2015 07:28:00 GMT"),
        bounds=Bounds(seconds=30.0),
    ),
    Scenario("F52", "quota spent", "The account has no credit left.", (52,), (Break(model="quota-429"),), bounds=_ONCE),
    Scenario(
        "F53",
        "key refused",
        "The key is wrong, unpaid, or not allowed to do that.",
        (53,),
        (Break("401", model="fail-401"), Break("402", model="fail-402"), Break("403", model="fail-403")),
        bounds=_ONCE,
    ),
    Scenario(
        "F54",
        "503 twice, then well",
        "A short outage.",
        (54,),
        (Break(rules=({"first": 2, "status": 503},)),),
        traffic=Traffic(calls=3, every_s=4.0),
        bounds=Bounds(broken=5),
    ),
    Scenario(
        "F55",
        "every second request fails",
        "A provider that is half broken.",
        (55,),
        (Break(rules=({"every": 2, "status": 500},)),),
        _WHOLE,
        Traffic(calls=10, every_s=1.0),
        Bounds(broken=20),
    ),
    Scenario(
        "F56",
        "everybody down for 20 s",
        "All providers are away, and come back.",
        (56,),
        (Break(rules=({"status": 503, "until_s": 20},), everyone=True),),
        _STREAM,
        Traffic(calls=20, every_s=2.0),
        Bounds(seconds=25.0),
        "blackout",
        down_s=20.0,
    ),
    Scenario(
        "F58",
        "one word, then nothing",
        "The answer stops after its first word, for ever.",
        (58,),
        (Break(model="stall-1"),),
        _STREAM,
        bounds=Bounds(seconds=65.0, broken=1, hang_s=90.0),
    ),
    Scenario(
        "F60",
        "the reader leaves",
        "The caller stops reading after five words.",
        (60,),
        (Break(rules=({"tokens_per_second": 10},)),),
        _STREAM,
        Traffic(leave_after=5),
        Bounds(seconds=2.0),
        "left",
    ),
    Scenario(
        "F61",
        "the caller gives up",
        "The call is cancelled while nobody answers.",
        (61,),
        (Break(model="silent", everyone=True),),
        traffic=Traffic(cancel_s=3.0),
        bounds=Bounds(seconds=4.0),
        judge="left",
    ),
    Scenario(
        "F67",
        "the key in an error's text",
        "Every provider repeats the caller's key in its error.",
        (67,),
        (Break(rules=({"status": 401, "echo_key": True},), everyone=True),),
        bounds=_ONCE,
        judge="errors",
        allowed=("AuthenticationError", "AllProvidersFailed", "NoUsableKeyError"),
    ),
)  # fmt: skip

MORE_FAULTS: tuple[Scenario, ...] = (*ANSWERS, *REFUSALS)
