"""Models with what is known of them, and which one to take: pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.backend import PriceTag
from llmcore.gateway.catalogue import NO_NEEDS, Entry, Needs, Speed, entry, recommended
from llmcore.testing import ScriptedProvider
from llmcore.types import ModelInfo
from tests.gateway.standin import Backend

TOOLS = Needs(frozenset(("tools",)))


def model(
    name: str,
    price: float | None = None,
    *,
    can: Mapping[str, bool | None] | None = None,
    context: int | None = None,
    speed: float | None = None,
    tags: tuple[str, ...] = (),
) -> Entry:
    tag = PriceTag() if price is None else PriceTag(Decimal(str(price)), Decimal(str(price)))
    timed = None if speed is None else Speed(speed, 5)
    return Entry(name, "p", "kind", context_window=context, can=can or {}, price=tag, speed=timed, tags=tags)


def names(entries: list[Entry], needs: Needs = NO_NEEDS) -> tuple[str | None, str | None]:
    told = recommended(entries, needs)
    return told["cheapest"], told["fastest"]


def test_the_cheapest_that_can_and_not_the_cheapest() -> None:
    entries = [model("small", 1, can={"tools": False}), model("able", 2, can={"tools": True}), model("x", 3)]
    assert names(entries)[0] == "p/small"
    assert names(entries, TOOLS)[0] == "p/able"


def test_what_is_not_known_to_be_able_comes_after_what_is_and_is_said_not_to_be_sure() -> None:
    perhaps, able = model("perhaps", 1), model("able", 9, can={"tools": True})
    told = recommended([perhaps, able], TOOLS)
    assert (told["cheapest"], told["sure"]["cheapest"]) == ("p/able", True)
    told = recommended([perhaps, model("not", 0.1, can={"tools": False})], TOOLS)
    assert (told["cheapest"], told["sure"]["cheapest"]) == ("p/perhaps", False)
    assert recommended([model("not", 1, can={"tools": False})], TOOLS)["cheapest"] is None


def test_a_context_that_is_needed() -> None:
    entries = [
        model("short", 1, context=8_000),
        model("exact", 2, context=9_000),
        model("long", 3, context=90_000),
    ]
    assert names(entries, Needs(context=9_000))[0] == "p/exact"
    assert names(entries, Needs(context=9_001))[0] == "p/long"
    assert names(entries, Needs(context=900_000))[0] is None


def test_the_fastest_is_measured_where_anything_was_and_else_said_to_be_fast() -> None:
    said = model("mini", 2, tags=("fast",))
    assert names([said, model("mini-cheaper", 1, tags=("fast",)), model("slow", 0.5)])[1] == "p/mini-cheaper"
    measured = [said, model("one", 1, speed=3.0), model("two", 1, speed=2.0)]
    assert names(measured)[1] == "p/two"
    assert "5 answers" in recommended(measured)["reasons"]["fastest"]
    assert names([model("unknown")]) == (None, None)


def test_who_is_not_asked_for_text_and_who_costs_nothing_for_now_is_not_recommended() -> None:
    others = [
        model("e", 0.01, tags=("embedding",), speed=0.1),
        model("w", 0.01, tags=("other",), speed=0.1),
        model("free", 0),
        Entry("alias", "p", "k", alias_of="e", price=PriceTag(Decimal(1), Decimal(1))),
    ]
    assert names(others) == (None, None)


CAN = st.fixed_dictionaries({"tools": st.sampled_from([True, False, None])})
ENTRIES = st.lists(
    st.builds(
        model,
        st.sampled_from("abcdefgh"),
        st.none() | st.integers(0, 9),
        can=CAN,
        context=st.none() | st.integers(1, 9),
        speed=st.none() | st.integers(1, 9),
        tags=st.sampled_from([(), ("fast",), ("embedding",)]),
    ),
    max_size=8,
)


@given(ENTRIES, st.booleans(), st.none() | st.integers(1, 9))
def test_nobody_who_can_is_cheaper_or_faster(entries: list[Entry], tools: bool, context: int | None) -> None:
    needs = Needs(frozenset(("tools",)) if tools else frozenset(), context)
    told = recommended(entries, needs)
    able = [one for one in entries if one.chat and one.meets(needs)]
    prices = [one.blended for one in able if one.blended]
    speeds = [one.speed.first_token_s for one in able if one.speed]
    for word, figures in (("cheapest", prices), ("fastest", speeds)):
        chosen = [one for one in entries if one.chat and one.name == told[word]]
        if told[word] is None:
            assert not figures
        elif told["sure"][word] and figures:
            if word == "cheapest":
                assert min(prices) in [one.blended for one in chosen]
            else:
                assert min(speeds) in [one.speed.first_token_s for one in chosen if one.speed]
        assert all(one.meets(needs) is not False for one in chosen[:1]) or len(chosen) > 1


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("gpt-4o-mini", ("fast",)),
        ("gemini-2.5-flash-lite", ("fast",)),
        ("o4-mini", ()),  # it thinks first
        ("gemini-2.0-flash-thinking", ()),
        ("minimax-m2", ()),
        ("text-embedding-3-small", ("embedding",)),
        ("whisper-1", ("other",)),
        ("gpt-4o-mini-tts", ("other",)),
        ("gpt-image-1-mini", ("other",)),
        ("gpt-4o", ()),
    ],
)
def test_what_a_name_says(name: str, tags: tuple[str, ...]) -> None:
    assert entry(ModelInfo(name), "a", "openai", Backend(ScriptedProvider("p"))).tags == tags


def test_a_measured_speed_counts_more_than_a_name() -> None:
    backend = Backend(ScriptedProvider("p"))
    assert entry(ModelInfo("gpt-4o-mini"), "a", "openai", backend, speed=Speed(1.5, 9)).tags == ()
    assert entry(ModelInfo("gpt-4o"), "a", "openai", backend, speed=Speed(0.5, 9)).tags == ("fast",)


def test_prices_make_tags_and_the_default_is_marked() -> None:
    backend = Backend(ScriptedProvider("p"))
    backend.prices = {"a": PriceTag(Decimal("0.1"), Decimal("0.4")), "b": PriceTag(Decimal(15), Decimal(75))}
    made = entry(ModelInfo("a", capabilities=frozenset(("tools",))), "p", "k", backend, default="a")
    assert made.tags == ("cheap", "default")
    shown = made.as_json()
    assert (shown["capabilities"], shown["input_usd_per_million"], shown["first_token_s"]) == (
        ["tools"],
        0.1,
        None,
    )
    assert entry(ModelInfo("b"), "p", "k", backend, default="a").tags == ("dear",)
    assert entry(ModelInfo("b"), "p", "k", backend).as_json()["capabilities"] is None
