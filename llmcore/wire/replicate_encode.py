"""Replicate, what goes up: a conversation as the `input` of a model that has no chat schema, and the path of the model.

Models differ in their input fields; these are the names that its language models share. Another model's own fields go
into `extra={"input": {...}}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from llmcore.errors import ModelNotFoundError, UnsupportedFeatureError
from llmcore.types import (
    Audio,
    CachePoint,
    File,
    GenerationRequest,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from llmcore.wire.base import Warnings
from llmcore.wire.media import image_url
from llmcore.wire.read import merged
from llmcore.wire.structured import with_prompt

_VERSION = re.compile(r"[0-9a-f]{64}")
_SPEAKER = {"user": "User", "assistant": "Assistant"}


def target(model: str | None) -> tuple[str, str | None]:
    """Path and version of what `model` names. Raises ModelNotFoundError where it can be no name.

    "owner/name" is an official model; "owner/name:version" or 64 hex digits is a version; "deployments/owner/name" is
    one's own deployment.
    """
    name, _, version = (model or "").partition(":")
    if version or _VERSION.fullmatch(name):
        return "/v1/predictions", version or name
    steps = ["" if step in {".", ".."} else quote(step, safe="") for step in name.split("/")]
    if all(steps) and len(steps) == 3 and steps[0] == "deployments":
        return f"/v1/deployments/{steps[1]}/{steps[2]}/predictions", None
    if all(steps) and len(steps) == 2:
        return f"/v1/models/{steps[0]}/{steps[1]}/predictions", None
    raise ModelNotFoundError(
        f"model: {name[:80]!r} is none of owner/name, owner/name:version, a version, deployments/owner/name"
    )


def body(request: GenerationRequest, version: str | None, warnings: Warnings) -> dict[str, Any]:
    """The body that creates a prediction. Raises UnsupportedFeatureError for tools, files, audio, several images."""
    if request.tools and request.tool_choice != "none":
        raise UnsupportedFeatureError("tools: models on Replicate take none")
    warnings.dropped("reasoning", request.reasoning)
    out: dict[str, Any] = {} if version is None else {"version": version}
    out["input"] = _input(with_prompt(request), warnings)
    return merged(out, request.extra)


def _input(request: GenerationRequest, warnings: Warnings) -> dict[str, Any]:
    for message in request.messages:
        warnings.dropped("message.name", message.name)
    values = {
        "prompt": prompt(request.messages, warnings),
        "system_prompt": _system(request.messages),
        "image": _image(request.messages, warnings),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop_sequences": _stop(request.stop, warnings),
        "seed": request.seed,
    }
    return {name: value for name, value in values.items() if value is not None}


def _stop(stop: tuple[str, ...], warnings: Warnings) -> str | None:
    """Stop sequences are one text, set apart by commas."""
    if any("," in sequence for sequence in stop):
        warnings.dropped("stop", stop, "a sequence with a comma cannot be said here; none was sent")
        return None
    return ",".join(stop) or None


# ------------------------------------------------------------------------------------------------- messages


def prompt(messages: Iterable[Message], warnings: Warnings) -> str:
    r"""The conversation as plain text.

    One user message is sent as it is. Several turns become "User: ...\n\nAssistant: ...\n\nUser: ...\n\nAssistant:", open
    at the end, unless the assistant spoke last: then it goes on from there.
    """
    turns = [(message.role, _text(message, warnings)) for message in messages if message.role != "system"]
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    told = [f"{_SPEAKER[role]}: {text}" for role, text in turns]
    if turns[-1][0] != "assistant":
        told.append("Assistant:")
    return "\n\n".join(told)


def _system(messages: Iterable[Message]) -> str | None:
    return "\n\n".join(message.text for message in messages if message.role == "system") or None


def _text(message: Message, warnings: Warnings) -> str:
    return "".join(_said(part, warnings) for part in message.parts)


def _said(part: Part, warnings: Warnings) -> str:
    match part:
        case Text() | Refusal():
            return part.text
        case ToolCall() | ToolResult():
            raise UnsupportedFeatureError("tools: models on Replicate take no calls and no results")
        case File() | Audio():
            raise UnsupportedFeatureError(
                f"Replicate's language models take no {type(part).__name__.lower()}"
            )
        case Opaque():
            warnings.changed("message.opaque", f"a block of {part.origin!r} means nothing here; not sent")
            return ""
        case Image() | Thinking() | CachePoint():
            return ""


def _image(messages: Iterable[Message], warnings: Warnings) -> str | None:
    images = [part for message in messages for part in message.parts if isinstance(part, Image)]
    if len(images) > 1:
        raise UnsupportedFeatureError("image: Replicate's language models take one at most")
    if not images:
        return None
    if images[0].detail != "auto":
        warnings.dropped("image.detail", images[0].detail)
    return image_url(images[0])
