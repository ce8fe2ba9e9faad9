"""The sixteen scenarios of the public Failover Bench, with its timings and stricter bounds where noted.

Source: failoverbench/failoverbench, scenarios/catalogue.yaml (methodology 0.1).
"""

from __future__ import annotations

from llmcore.chaos.nouns import Bounds, Break, Scenario, Traffic, Way

_STREAM: tuple[Way, ...] = ("stream",)
_QUICK = Bounds(seconds=15.0)

PUBLIC: tuple[Scenario, ...] = (
    Scenario(
        "S01",
        "429 with Retry-After",
        "A rate limit that says when it ends.",
        (51,),
        (Break(rules=({"first": 1, "status": 429, "retry_after": 2},)),),
        bounds=_QUICK,
        judge="paced",
    ),
    Scenario(
        "S02",
        "429 without end, no header",
        "A rate limit that does not say when it ends.",
        (51,),
        (Break(model="fail-429"),),
        bounds=Bounds(seconds=30.0),
        judge="paced",
    ),
    Scenario(
        "S03",
        "500 once",
        "One hiccup of the provider.",
        (54,),
        (Break(rules=({"first": 1, "status": 500},)),),
    ),
    Scenario("S04", "503 without end", "The provider has no capacity.", (54,), (Break(model="fail-503"),)),
    Scenario(
        "S05",
        "reset before the headers",
        "The connection breaks before anything comes.",
        (5,),
        (Break(rules=({"first": 1, "reset": True},)),),
    ),
    Scenario(
        "S06",
        "silence",
        "The provider takes the request and says nothing.",
        (8,),
        (Break(model="silent"),),
        bounds=Bounds(seconds=12.0, broken=1),
    ),
    Scenario(
        "S07",
        "first token after 20 s",
        "The provider is awake, but slow to begin.",
        (8, 57),
        (Break(rules=({"first_token_delay_s": 20},)),),
        bounds=Bounds(seconds=15.0, first_s=15.0, broken=1),
    ),
    Scenario(
        "S08",
        "cut at token 40 of 60",
        "The answer breaks off in its middle.",
        (14, 26),
        (Break(model="cut-40"),),
        _STREAM,
        bounds=Bounds(seconds=15.0),
    ),
    Scenario(
        "S09",
        "stall after 20 tokens",
        "The answer stops, and after 30 s the connection closes.",
        (7, 58),
        (Break(model="stall-20", reset_after_s=30),),
        _STREAM,
        bounds=Bounds(seconds=45.0),
    ),
    Scenario(
        "S10",
        "malformed chunk",
        "The tenth piece of the answer is broken JSON.",
        (16, 30),
        (Break(model="malformed-chunk-9"),),
        _STREAM,
    ),
    Scenario(
        "S11",
        "no [DONE]",
        "The answer is whole, but its end marker is missing.",
        (25,),
        (Break(model="no-done"),),
        _STREAM,
        bounds=Bounds(seconds=8.0),
    ),
    Scenario(
        "S12",
        "context too long",
        "The prompt does not fit this model.",
        (),
        (Break(model="context-400"),),
        bounds=Bounds(seconds=15.0, broken=1),
        judge="context",
    ),
    Scenario(
        "S13",
        "content filter",
        "The provider refuses the prompt by policy.",
        (),
        (Break(model="filter-400"),),
        bounds=Bounds(seconds=15.0, broken=1),
        judge="refusal",
    ),
    Scenario(
        "S14",
        "cut, and no prefill",
        "The answer breaks off, and the next provider cannot go on from it.",
        (14, 26),
        (Break(model="cut-40", no_prefill=True),),
        _STREAM,
    ),
    Scenario(
        "S15",
        "down for 60 s",
        "Twenty requests, one every 4 s, while the provider is away for a minute.",
        (54, 56),
        (Break(rules=({"status": 503, "until_s": 60},)),),
        _STREAM,
        Traffic(calls=20, every_s=4.0),
        Bounds(seconds=15.0, broken=4),
        "outage",
        down_s=60.0,
    ),
    Scenario(
        "S16",
        "accounting",
        "Who is named and billed when another provider answered.",
        (),
        (Break(model="fail-503"),),
        judge="accounting",
    ),
)
