"""Models as Anthropic's clients read them: what is known comes through our own wire, the rest is said as Anthropic says it."""

from __future__ import annotations

import pytest
from anthropic.types import ModelInfo as SdkModel
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror.anthropic_models import encode_model, encode_models
from llmcore.gateway.mirror.sse import dumps
from llmcore.types import ModelInfo
from llmcore.wire.anthropic import AnthropicWire
from tests.gateway.mirror.nouns import counts, words

infos = st.builds(
    ModelInfo,
    words,
    display_name=st.none() | words.map("Model {}".format),
    context_window=st.none() | counts,
    max_output_tokens=st.none() | counts,
    created=st.none() | st.integers(1, 10**12),
    capabilities=st.none() | st.frozensets(words | st.sampled_from(["effort", "effort.high"]), max_size=3),
)


@given(st.lists(infos, max_size=4, unique_by=lambda model: model.id))
def test_models_come_through_the_wire(models: list[ModelInfo]) -> None:
    page = AnthropicWire().decode_models(dumps(encode_models(models)))
    assert page.cursor is None
    for found, model in zip(page.models, models, strict=True):
        known = min(model.created, 253_402_300_799) if model.created is not None else None
        assert evolve(found, raw=None) == evolve(
            model, display_name=model.display_name or model.id, created=known
        )


@given(infos)
def test_the_official_type_takes_every_model(model: ModelInfo) -> None:
    told = evolve(model, capabilities=None)  # the SDK knows Anthropic's own ones alone
    found = SdkModel.model_validate(encode_model(told))
    assert (found.id, found.type, found.display_name) == (model.id, "model", model.display_name or model.id)


def test_a_name_that_means_support_itself_is_left_out() -> None:
    told = encode_model(ModelInfo("m", capabilities=frozenset({"supported", "a.supported", "tools"})))
    assert told["capabilities"] == {"tools": {"supported": True}}


# -------------------------------------------------------------------------------------------------------- pages

FIVE = [ModelInfo(name) for name in "abcde"]


def page(**query: str) -> tuple[str, bool]:
    """The ids of one page, and whether there are more."""
    found = encode_models(FIVE, query)
    ids = "".join(model["id"] for model in found["data"])
    assert (found["first_id"], found["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    return ids, found["has_more"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ("abcde", False)),
        ({"limit": "2"}, ("ab", True)),
        ({"limit": "5"}, ("abcde", False)),
        ({"limit": "2", "after_id": "b"}, ("cd", True)),
        ({"limit": "2", "after_id": "c"}, ("de", False)),
        ({"after_id": "e"}, ("", False)),
        ({"limit": "2", "before_id": "e"}, ("cd", True)),
        ({"limit": "2", "before_id": "c"}, ("ab", False)),
        ({"before_id": "a"}, ("", False)),
        ({"lifecycle": "active,retired"}, ("abcde", False)),
        ({"lifecycle[]": "retired"}, ("", False)),
    ],
)
def test_pages(query: dict[str, str], found: tuple[str, bool]) -> None:
    assert page(**query) == found


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"after_id": "nobody"}, "after_id"),
        ({"before_id": "nobody"}, "before_id"),
        ({"after_id": "a", "before_id": "b"}, "before_id"),
        ({"lifecycle": "young"}, "lifecycle"),
    ],
)
def test_odd_pages_are_refused(query: dict[str, str], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        encode_models(FIVE, query)
    assert (caught.value.status, caught.value.param) == (400, param)


@given(st.lists(infos, max_size=7, unique_by=lambda model: model.id), st.integers(1, 3))
def test_pages_one_after_the_other_are_the_whole(models: list[ModelInfo], limit: int) -> None:
    whole = encode_models(models)["data"]
    found, query, more = [], {"limit": str(limit)}, True
    while more:
        told = encode_models(models, query)
        found += told["data"]
        more, query["after_id"] = told["has_more"], told["last_id"] or ""
    assert found == whole
