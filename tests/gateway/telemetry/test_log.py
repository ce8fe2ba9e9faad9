"""Lines of the log: one for each event, and no key in any of its fields, however deep."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from llmcore.gateway.telemetry.log import Log

KEY = "sk-canary-of-the-log-4711"


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        f"Incorrect key {KEY}!",
        [KEY],
        {"a": {"b": [KEY]}},
        RuntimeError(KEY),
        ("x", {"y": f"Bearer {KEY}"}),
    ],
    ids=["text", "sentence", "list", "nested", "error", "tuple"],
)
def test_t05_no_field_of_a_line_shows_a_key(value: Any) -> None:
    out = io.StringIO()
    Log("debug", wall=lambda: 1.0, out=out).note("debug", "event", field=value)
    assert KEY not in out.getvalue()
    assert "***" in out.getvalue()


def test_t20_control_characters_stay_inside_of_their_line() -> None:
    out = io.StringIO()
    text = 'a\nb\r\n{"event":"forged"}\x1b[31m\u2028\x85\u202e\x00'
    Log("debug", wall=lambda: 1.0, out=out).note("info", "event", field=text)
    (line,) = out.getvalue().splitlines()
    assert line.isprintable()
    assert json.loads(line)["field"] == text


def test_t05_a_fault_tells_where_it_was_and_not_what_it_said() -> None:
    out = io.StringIO()
    try:
        raise ValueError("what a client sent")
    except ValueError as error:
        Log("error", wall=lambda: 1.0, out=out).fault(error, "r1", "chat")
    told = json.loads(out.getvalue())
    assert (told["error"], told["request_id"], told["route"]) == ("ValueError", "r1", "chat")
    assert "test_log.py" in told["where"][-1]
    assert "what a client sent" not in out.getvalue()
