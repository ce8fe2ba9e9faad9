"""The simulator's own pages under /_sim/: what it was asked, its counters, and a new script at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from llmcore.errors import ConfigurationError
from llmcore.sim.dialects.base import dumps
from llmcore.sim.faults import fault_names
from llmcore.sim.http import HttpRequest
from llmcore.sim.values import Reply, whole

if TYPE_CHECKING:
    from llmcore.sim.desk import Desk


def control(desk: Desk, request: HttpRequest) -> Reply:
    """`GET last, requests, stats, faults`; `POST script` (TOML or JSON), `POST reset`."""
    page = request.target.partition("?")[0].removeprefix("/_sim/").strip("/")
    match request.method, page:
        case "GET", "last":
            return _json(desk.records[-1].as_json() if desk.records else None)
        case "GET", "requests":
            return _json([record.as_json() for record in desk.records])
        case "GET", "stats":
            return _json(attrs.asdict(desk.tally.snapshot()))
        case "GET", "faults":
            return _json(dict(fault_names()))
        case "POST", "script":
            return _set_script(desk, request.body)
        case "POST", "reset":
            desk.reset()
            return _json({"ok": True})
        case _:
            known = "GET last, requests, stats, faults; POST script, reset"
            return _json({"error": f"no such page; known: {known}"}, 404)


def _set_script(desk: Desk, body: bytes) -> Reply:
    import msgspec

    try:
        text = body.decode()
        desk.set_script(msgspec.json.decode(text) if text.lstrip()[:1] == "{" else text)
    except (UnicodeDecodeError, msgspec.DecodeError) as exc:
        return _json({"complaints": [f"the script cannot be read: {exc}"]}, 400)
    except ConfigurationError as exc:
        return _json({"complaints": list(exc.complaints)}, 400)
    return _json({"ok": True, "rules": len(desk.run.script.rules)})


def _json(value: Any, status: int = 200) -> Reply:
    return whole(dumps(value), status)
