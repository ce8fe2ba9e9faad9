"""What a vendor refuses although its shape is right: wrong keys, unknown models, orphan tool results, false signatures."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from llmcore.sim.dialects.base import Ask, Dialect
from llmcore.sim.model import is_genuine
from llmcore.sim.values import ApiError, Call, Result, Text, Thinking, Understood

UNSIGNED = "skip_thought_signature_validator"
"""What Google takes as the signature of a call that another vendor's model made."""


def check_key(dialect: Dialect, ask: Ask, api_key: str | None) -> None:
    """Raises ApiError where the server wants a key and another one came, or none."""
    if api_key is None:
        return
    given = dialect.key_of(ask)
    if given is None:
        raise ApiError("auth", "You didn't provide an API key.")
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), api_key.encode()):
        raise ApiError("auth", "Incorrect API key provided.")


def check_meaning(asked: Understood, models: Sequence[str]) -> None:
    """Raises ApiError for an unknown model (where models were configured), an empty talk, orphans and false seals."""
    if asked.operation in {"generate", "embed"} and models and asked.model not in models:
        raise ApiError(
            "not_found",
            f"The model '{asked.model}' does not exist or you do not have access to it.",
            param="model",
        )
    if asked.operation == "generate":
        check_talk(asked)
        check_calls(asked)
        check_seals(asked)
    if asked.operation == "embed" and (not asked.inputs or not all(asked.inputs)):
        raise ApiError("invalid", "'input' must hold at least one text, and no empty one.", param="input")


def check_talk(asked: Understood) -> None:
    if not any(turn.role != "system" for turn in asked.turns):
        raise ApiError("invalid", "The conversation needs at least one message besides the system text.")
    names = {tool.name for tool in asked.tools}
    if asked.tool_choice not in {None, "auto", "none"} | names and not (
        asked.tool_choice == "required" and names
    ):
        raise ApiError(
            "invalid",
            f"tool_choice names '{asked.tool_choice}', which is not among the tools.",
            param="tool_choice",
        )


def check_calls(asked: Understood) -> None:
    """Every result answers a call that was made before it, and no call is left open when the user speaks again."""
    open_calls: list[Call] = []
    for turn in asked.turns:
        for part in turn.parts:
            if isinstance(part, Call):
                open_calls.append(part)
            elif isinstance(part, Result):
                _answer_one(open_calls, part)
        if (
            turn.role in {"user", "assistant"}
            and open_calls
            and not any(isinstance(p, Call) for p in turn.parts)
        ):
            raise ApiError(
                "invalid", f"The tool call '{open_calls[0].id}' was not answered before the next turn."
            )
    if open_calls:
        raise ApiError("invalid", f"The tool call '{open_calls[0].id}' was not answered.")


def _answer_one(open_calls: list[Call], result: Result) -> None:
    for at, call in enumerate(open_calls):
        if (result.call_id is not None and result.call_id == call.id) or (
            (result.call_id is None or call.id is None) and result.name == call.name
        ):
            del open_calls[at]
            return
    raise ApiError(
        "invalid",
        f"A tool result for '{result.call_id or result.name}' must follow the call that it answers.",
    )


def check_seals(asked: Understood) -> None:
    """Reasoning must come back with the signature that it was given, or with none."""
    for turn in asked.turns:
        for part in turn.parts:
            if not isinstance(part, (Thinking, Text, Call)) or part.signature is None:
                continue
            if asked.dialect == "gemini" and part.signature == UNSIGNED:
                continue
            text = part.text if isinstance(part, Thinking) else ""
            if not is_genuine(part.signature, asked.dialect, text):
                raise ApiError("invalid", f"Invalid signature in a {part.kind} block.", param="signature")
