"""Models as Anthropic's clients read them: what is known comes through our own wire, the rest is said as Anthropic says it."""

from __future__ import annotations

from anthropic.types import ModelInfo as SdkModel
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

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
