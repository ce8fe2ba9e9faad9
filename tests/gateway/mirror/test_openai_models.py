"""Models as served: the four standard fields, and more where more is known; our own wire reads them back."""

from __future__ import annotations

import json

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Model

from llmcore.gateway.mirror.openai_models import encode_model, encode_models
from llmcore.types import ModelInfo
from tests.gateway.mirror.openai_nouns import WIRE, counts, words

infos = st.builds(
    ModelInfo,
    words,
    display_name=st.none() | words.map("Model {}".format),
    context_window=st.none() | counts,
    max_output_tokens=st.none() | counts,
    created=counts,
    owned_by=words,
    capabilities=st.none() | st.frozensets(words, min_size=1, max_size=3),
)


@given(st.lists(infos, max_size=4))
def test_models_come_through_the_wire_unchanged(models: list[ModelInfo]) -> None:
    body = json.dumps(encode_models(models, created=7)).encode()
    assert list(WIRE.decode_models(body).models) == models


@given(infos)
def test_the_official_sdk_reads_every_model(model: ModelInfo) -> None:
    found = Model.model_validate(encode_model(model, created=7), strict=True)
    assert (found.id, found.created, found.owned_by) == (model.id, model.created, model.owned_by)


def test_what_is_not_known_is_left_out() -> None:
    bare = ModelInfo("m")
    assert encode_model(bare, created=7) == {
        "id": "m",
        "object": "model",
        "created": 7,
        "owned_by": "llmcore",
    }
    assert encode_model(evolve(bare, provider="p"), created=7)["owned_by"] == "p"
    assert encode_models([], created=7) == {"object": "list", "data": []}
