"""Replicate's recorded predictions against an oracle that reads the raw JSON by itself."""

from __future__ import annotations

import pytest

from llmcore.errors import AuthenticationError
from llmcore.providers.replicate import PLACE
from llmcore.types import GenerationRequest, GenerationResponse
from llmcore.wire.base import Pending
from llmcore.wire.replicate import ReplicateWire
from tests.corpus import Record, records

WIRE = ReplicateWire()
ASKED = GenerationRequest("hi", model="a/b")


@pytest.mark.parametrize("record", records(api="predictions", operation=("generate", "poll")))
def test_predictions(record: Record) -> None:
    raw = record.json
    response = WIRE.decode_generate(record.body, ASKED)
    if raw["status"] == "succeeded":
        assert isinstance(response, GenerationResponse)
        output = raw["output"]
        assert response.text == (output if isinstance(output, str) else "".join(output))
        assert (response.id, response.model) == (raw["id"], raw.get("model"))
        assert (response.finish_reason, response.raw_finish_reason) == ("stop", "succeeded")
    else:
        assert raw["status"] in {"starting", "processing"}
        assert isinstance(response, Pending)
        assert response.cancel is not None
        assert (response.next.path, response.cancel.path) == (raw["urls"]["get"], raw["urls"]["cancel"])
        assert 0.0 < response.wait_s <= 5.0


@pytest.mark.parametrize("record", records(api="predictions", operation=("generate", "poll")))
def test_streams_are_where_the_vendor_says_and_trusted(record: Record) -> None:
    raw = record.json
    pending = WIRE.decode_stream_start(record.body, ASKED)
    stream = raw["urls"].get("stream") if raw["status"] in {"starting", "processing"} else None
    assert (pending.next.path if pending else None) == stream
    assert pending is None or PLACE.trusts(pending.next.path, PLACE.base_url or "")


@pytest.mark.parametrize(
    "record", records(api="predictions", operation=("generate", "poll"), ok=False, providers=("replicate",))
)
def test_errors(record: Record) -> None:
    error = WIRE.decode_error(record.status, record.headers, record.body)
    assert {401: AuthenticationError}[record.status] is type(error)
    assert error.message == record.json["detail"]
