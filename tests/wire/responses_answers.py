"""Made-up answers of the Responses dialect, whole and as streams, for its tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 3},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 18,
}


def message(*said: str, refusal: str | None = None, phase: str | None = None, id_: str = "msg_1") -> Json:
    parts: list[Json] = [{"type": "output_text", "text": text, "annotations": []} for text in said]
    if refusal is not None:
        parts.append({"type": "refusal", "refusal": refusal})
    item = {"type": "message", "id": id_, "status": "completed", "role": "assistant", "content": parts}
    return item if phase is None else {**item, "phase": phase}


def reasoning(
    *summary: str, sealed: str | None = "sealed", id_: str = "rs_1", shown: tuple[str, ...] = ()
) -> Json:
    item: Json = {
        "type": "reasoning",
        "id": id_,
        "summary": [{"type": "summary_text", "text": text} for text in summary],
    }
    if shown:
        item["content"] = [{"type": "reasoning_text", "text": text} for text in shown]
    return item if sealed is None else {**item, "encrypted_content": sealed}


def call(
    name: str = "weather", arguments: str = '{"city":"Oslo"}', call_id: str = "call_x", id_: str = "fc_1"
) -> Json:
    return {
        "type": "function_call",
        "id": id_,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def search(id_: str = "ws_1") -> Json:
    return {
        "type": "web_search_call",
        "id": id_,
        "status": "completed",
        "action": {"type": "search", "query": "q"},
    }


def answer(*output: Json, status: str = "completed", **fields: Any) -> Json:
    return {
        "id": "resp_1",
        "object": "response",
        "status": status,
        "model": "gpt-x-2026",
        "output": list(output),
        "usage": USAGE,
        "error": None,
        "incomplete_details": None,
        **fields,
    }


def body(value: Json) -> bytes:
    return json.dumps(value).encode()


def sse(*events: Json, named: bool = True) -> bytes:
    out = []
    for number, event in enumerate(events):
        name = f"event: {event['type']}\n" if named else ""
        out.append(f"{name}data: {json.dumps({**event, 'sequence_number': number})}\n\n")
    return "".join(out).encode()


def stream_of(
    response: Json, *, deltas: bool = True, dones: bool = True, final: bool = True, pieces: int = 2
) -> list[Json]:
    """The events of `response`: without deltas, without `output_item.done`, or with an empty final list."""
    events: list[Json] = [
        {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}}
    ]
    for index, item in enumerate(response["output"]):
        where = {"output_index": index, "item_id": item.get("id")}
        begun = {**item, "status": "in_progress"}
        for field in ("content", "summary"):
            if field in begun:
                begun[field] = []
        if "arguments" in begun:
            begun["arguments"] = ""
        events.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        if deltas:
            events += [{**where, **event} for event in _deltas(item, pieces)]
        if dones:
            events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    last = response if final else {**response, "output": []}
    events.append({"type": f"response.{response['status']}", "response": last})
    return events


def _deltas(item: Json, pieces: int) -> Iterator[Json]:
    if item["type"] == "function_call":
        yield from _pieces("function_call_arguments", item["arguments"], pieces)
    for field, stem, index in (
        ("summary", "reasoning_summary_text", "summary_index"),
        ("content", "reasoning_text", "content_index"),
    ):
        if item["type"] == "reasoning":
            for number, part in enumerate(item.get(field, ())):
                yield from _pieces(stem, part["text"], pieces, **{index: number})
    if item["type"] == "message":
        for number, part in enumerate(item["content"]):
            stem = "output_text" if part["type"] == "output_text" else "refusal"
            yield from _pieces(
                stem, part.get("text") or part.get("refusal") or "", pieces, content_index=number
            )


def _pieces(stem: str, text: str, pieces: int, **index: int) -> Iterator[Json]:
    step = max(1, -(-len(text) // pieces))
    for at in range(0, len(text), step):
        yield {"type": f"response.{stem}.delta", "delta": text[at : at + step], **index}
