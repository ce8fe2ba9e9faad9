"""Bad input as an outsider sends it, to a real socket: the wire's own shape, the right status, a sentence that helps."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.gateway.api.outside import LIMITS, Caller, Outside, outside

TURN = [{"role": "user", "content": "hi"}]
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "openai/sim-model", "messages": TURN},
    "/v1/responses": {"model": "openai/sim-model", "input": "hi"},
    "/v1/messages": {"model": "openai/sim-model", "messages": TURN, "max_tokens": 9},
    "/v1/messages/count_tokens": {"messages": TURN},
    "/v1/embeddings": {"model": "openai/sim-embed", "input": "hi"},
}
ALIAS = "/proxy/llm"
WIRES = [*ASKED, *(ALIAS + path for path in ASKED)]
OWN = {
    ("PUT", "/api/settings/llm"): {"provider": "gemini"},
    ("PATCH", "/api/settings/llm"): {"provider": "gemini"},
    ("POST", "/api/settings/llm/test"): {"provider": "gemini"},
    ("POST", "/api/sessions"): {"provider": "gemini"},
    ("POST", "/api/keys"): {"name": "k"},
    ("POST", "/api/users"): {"name": "u"},
    ("POST", "/api/providers"): {"name": "p", "provider": "openai", "api_key": "sk-x"},
    ("PUT", "/api/providers/order"): {"names": ["gemini"]},
}
NO_JSON = {
    "nothing": b"",
    "cut": b'{"model": "x", "messages": [',
    "two values": b"{} {}",
    "single quotes": b"{'model': 'x'}",
    "a comma too many": b'{"model": "x",}',
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "a string": b'"x"',
    "not UTF-8": b'{"model": "\xff\xfe"}',
    "UTF-16": '{"model": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"model": "x"}',
    "a raw NUL": b'{"model": "\x00"}',
    "a lone surrogate": rb'{"model": "\ud800"}',
    "a surrogate the wrong way round": rb'{"model": "\udc00\ud800"}',
    "NaN": b'{"temperature": NaN}',
    "Infinity": b'{"temperature": -Infinity}',
    "1e400": b'{"temperature": 1e400}',
    "a deep list": b'{"metadata": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a deep object": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "a form": b"model=x&messages=y",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with outside(tmp_path_factory.mktemp("bad")) as found:
        yield found


@pytest.fixture
def http(served: Outside) -> Iterator[httpx.Client]:
    with served.http(served.admin) as found:
        yield found


def said(reply: httpx.Response, path: str) -> dict[str, Any]:
    """The error, after its shape was found to be that of the wire that was asked."""
    body = reply.json()
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"]
    error: dict[str, Any] = body["error"]
    if path.removeprefix(ALIAS).startswith("/v1/messages"):
        assert body["type"] == "error"
        assert body["request_id"] == reply.headers["request-id"] == reply.headers["x-request-id"]
        assert {"type", "message"} <= set(error)
    else:
        assert set(body) == {"error"}
        assert set(error) == {"message", "type", "param", "code"}
    assert len(error["message"]) > 10
    assert "Traceback" not in reply.text
    assert "llmcore." not in reply.text
    return error


def state(http: httpx.Client) -> list[str]:
    """All that bad input must leave as it was."""
    paths = ("/api/settings/llm", "/api/settings/llm?scope=system", "/api/sessions", "/api/users")
    keys = [{**key, "last_used_at": None} for key in http.get("/api/keys?user_id=all").json()["data"]]
    names = [one["name"] for one in http.get("/api/providers").json()["providers"]]
    return [*(http.get(path).text for path in paths), json.dumps(keys), json.dumps(names)]


# ------------------------------------------------------------------------------------------------------ bodies


@pytest.mark.parametrize("name", NO_JSON)
def test_what_is_no_json_object_is_refused_by_every_wire(
    served: Outside, http: httpx.Client, name: str
) -> None:
    before = len(served.sim.requests)
    for path in WIRES:
        reply = http.post(path, content=NO_JSON[name], headers={"content-type": "application/json"})
        assert reply.status_code == 400, (path, reply.text)
        error = said(reply, path)
        assert error["type"] == "invalid_request_error"
        assert "JSON" in error["message"] or "nested" in error["message"]
    assert len(served.sim.requests) == before


def test_what_is_no_json_object_is_refused_by_the_gateways_own_routes(http: httpx.Client) -> None:
    before = state(http)
    for method, path in OWN:
        for name, content in NO_JSON.items():
            reply = http.request(method, path, content=content, headers={"content-type": "application/json"})
            assert reply.status_code == 400, (method, path, name, reply.text)
            said(reply, path)
    assert state(http) == before


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_only_json_is_taken_by_the_gateways_own_routes(http: httpx.Client, kind: str) -> None:
    before = state(http)
    for (method, path), body in OWN.items():
        reply = http.request(method, path, content=json.dumps(body), headers={"content-type": kind})
        assert reply.status_code == 415
        assert "application/json" in said(reply, path)["message"]
    assert state(http) == before


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": 7}, "model"),
        ({"model": {}}, "model"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": 1e308}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": [1]}, "top_p"),
        ({"stream": "yes"}, "stream"),
        ({"tools": {}}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tool_choice": 7}, "tool_choice"),
        ({"metadata": "x"}, "metadata"),
    ],
)
def test_a_wrong_type_is_named_by_its_place(http: httpx.Client, change: dict[str, Any], param: str) -> None:
    for path in WIRES:
        if "embeddings" in path or ("stream" in change and "count" in path):
            continue
        reply = http.post(path, json={**ASKED[path.removeprefix(ALIAS)], **change})
        assert reply.status_code == 400, (path, reply.text)
        error = said(reply, path)
        assert error["message"].startswith(f"{param}: ")
        if "messages" not in path:
            assert error["param"] == param


@pytest.mark.parametrize(
    ("path", "change", "param"),
    [
        ("/v1/chat/completions", {"messages": []}, "messages"),
        ("/v1/chat/completions", {"messages": None}, "messages"),
        ("/v1/chat/completions", {"messages": [None]}, "messages[0]"),
        ("/v1/chat/completions", {"messages": [{"role": "user"}]}, "messages[0].content"),
        ("/v1/chat/completions", {"max_tokens": 0}, "max_tokens"),
        ("/v1/chat/completions", {"max_tokens": 1.5}, "max_tokens"),
        ("/v1/chat/completions", {"n": 10**30}, "n"),
        ("/v1/chat/completions", {"api_base": "https://evil.example"}, "api_base"),
        ("/v1/responses", {"input": []}, "input"),
        ("/v1/responses", {"input": [{"type": "nothing"}]}, "input[0].type"),
        ("/v1/responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
        ("/v1/messages", {"max_tokens": None}, "max_tokens"),
        ("/v1/messages", {"max_tokens": -1}, "max_tokens"),
        ("/v1/messages", {"messages": "hi"}, "messages"),
        ("/v1/messages", {"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ("/v1/embeddings", {"input": []}, "input"),
        ("/v1/embeddings", {"input": [1, 2]}, "input[0]"),
        ("/v1/embeddings", {"dimensions": 0}, "dimensions"),
        ("/v1/embeddings", {"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(
    http: httpx.Client, path: str, change: dict[str, Any], param: str
) -> None:
    reply = http.post(path, json={**ASKED[path], **change})
    assert reply.status_code == 400, reply.text
    assert said(reply, path)["message"].startswith(f"{param}: ")


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**400])
def test_numbers_beyond_64_bits_break_nothing(http: httpx.Client, number: int) -> None:
    for path, body in ASKED.items():
        reply = http.post(path, json={**body, "max_tokens": 9, "seed": number, "unknown": {"deep": [number]}})
        assert reply.status_code in {200, 400}, reply.text
    for (method, path), own in OWN.items():
        for field in ("version", "max_tokens", "priority", "expires_at", "settings", "budget_usd"):
            value: Any = {"a": number} if field == "settings" else number
            reply = http.request(method, path, json={**own, "name": "big", "provider": "none", field: value})
            assert reply.status_code in {400, 409}, (path, field, reply.text)


def test_of_a_key_that_comes_twice_the_last_one_counts(served: Outside, http: httpx.Client) -> None:
    content = (
        b'{"messages": 7, "messages": [{"role": "user", "content": "first"}], "model": "openai/sim-model"}'
    )
    assert http.post("/v1/chat/completions", content=content).status_code == 200
    assert b"first" in served.sim.last.request.body


# ------------------------------------------------------------------------------------------------------- who asks


@pytest.mark.parametrize("path", WIRES)
def test_a_missing_or_wrong_key(served: Outside, path: str) -> None:
    wrong = [
        {},
        {"authorization": "Bearer llmc-nothing"},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer"},
        {"x-api-key": ""},
        {"x-api-key": "' OR 1=1 --"},
    ]
    with served.http(served.nobody) as http:
        answers = [
            http.post(path, json=ASKED[path.removeprefix(ALIAS)], headers=headers) for headers in wrong
        ]
        both = {**served.user.headers, "x-api-key": "llmc-x"}
        several = http.post(path, json=ASKED[path.removeprefix(ALIAS)], headers=both)
    for reply in answers:
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert "x-api-key" in said(reply, path)["message"]
    assert len({said(reply, path)["message"] for reply in answers}) == 1
    assert several.status_code == 400
    assert "exactly one" in said(several, path)["message"]


# ---------------------------------------------------------------------------------------------------------- sizes


class Raw:
    """A request by hand."""

    def __init__(self, served: Outside, path: str, *headers: str, caller: Caller | None = None) -> None:
        token = (caller or served.user).token
        lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", *headers)
        self.socket = socket.create_connection(("127.0.0.1", served.port), timeout=20)
        self.path = path
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, Any]]:
        """Status and error, read until the server has nothing more to say."""
        with closing(self.socket), self.socket.makefile("rb") as lines:
            status = int(lines.readline().split()[1])
            headers: dict[str, str] = {}
            while (line := lines.readline()) not in {b"\r\n", b""}:
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            body = lines.read(int(headers["content-length"]))
        return status, said(httpx.Response(status, headers=headers, content=body), self.path)


@pytest.mark.parametrize("path", [*WIRES, "/api/sessions", "/api/playground"])
def test_a_body_that_says_it_is_too_large_is_not_read(served: Outside, path: str) -> None:
    """The answer comes before a byte of the body has."""
    status, error = Raw(served, path, f"Content-Length: {10**9}", "Content-Type: application/json").answer()
    assert status == 413
    assert "larger than" in error["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/api/sessions"])
def test_a_body_in_pieces_that_does_not_end_is_cut_off(served: Outside, path: str) -> None:
    raw = Raw(served, path, "Transfer-Encoding: chunked", "Content-Type: application/json")
    piece = b"%x\r\n%b\r\n" % (50_000, b" " * 50_000)
    for _ in range(LIMITS.media_body // 50_000 + 1):
        raw.send(piece)
    status, error = raw.answer()
    assert status == 413
    assert "larger than" in error["message"]


def test_a_body_in_pieces_is_taken(served: Outside) -> None:
    raw = Raw(served, "/v1/messages", "Transfer-Encoding: chunked", "Connection: close")
    text = json.dumps(ASKED["/v1/messages"]).encode()
    for at in range(0, len(text), 7):
        raw.send(b"%x\r\n%b\r\n" % (len(text[at : at + 7]), text[at : at + 7]))
    raw.send(b"0\r\n\r\n")
    with closing(raw.socket), raw.socket.makefile("rb") as reply:
        assert reply.readline().split()[1] == b"200"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/sessions"])
@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come_is_not_waited_for(served: Outside, path: str, framing: str) -> None:
    status, error = Raw(served, path, framing, "Content-Type: application/json").answer()
    assert status == 408
    assert "in time" in error["message"]


# ------------------------------------------------------------------------------------------- addresses and methods


def test_a_method_that_is_not_there_is_answered_with_those_that_are(
    served: Outside, http: httpx.Client
) -> None:
    told = http.get("/openapi.json").json()["paths"]
    for path, item in told.items():
        there = {method.upper() for method in item} | ({"HEAD"} if "get" in item else set())
        address = path.replace("{id}", "x").replace("{name}", "x")
        aliases = [address, ALIAS + address] if path.startswith("/v1/") else [address]
        for one in aliases:
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - there:
                reply = http.request(method, one)
                assert reply.status_code == 405, (method, one)
                assert set(reply.headers["allow"].split(", ")) == there
                assert method in said(reply, one)["message"]
                assert "access-control-allow-origin" not in reply.headers


def test_heads_are_those_of_the_whole_answer(http: httpx.Client) -> None:
    for path in ("/v1/models", "/proxy/llm/v1/models", "/healthz", "/readyz", "/api/me", "/openapi.json"):
        head, whole = http.head(path), http.get(path)
        assert head.status_code == whole.status_code == 200
        assert head.content == b""
        assert head.headers["content-type"] == whole.headers["content-type"]
        assert head.headers["content-length"] == str(len(whole.content))
    assert http.head("/v1/models/nothing").status_code == 404
    assert http.head("/api/sessions/nothing").content == b""


@pytest.mark.parametrize(
    ("method", "path", "meant"),
    [
        ("GET", "/v1/nothing", None),
        ("POST", "/v1", None),
        ("POST", "/v1/completions", None),
        ("GET", "/v1/messages/batches", None),
        ("GET", "/api", None),
        ("PATCH", "/api/providers/a/b", None),
        ("GET", "/api/nothing", None),
        ("GET", "/proxy/llm/v1/nothing", None),
        ("GET", "/proxy/other", None),
        ("POST", "/chat/completions", "/v1/chat/completions"),
        ("POST", "/responses", "/v1/responses"),
        ("POST", "/embeddings", "/v1/embeddings"),
        ("POST", "/v1/v1/messages", "/v1/messages"),
        ("POST", "/proxy/llm/v1/v1/messages", "/proxy/llm/v1/messages"),
        ("POST", "/v1/chat/completions/", "/v1/chat/completions"),
        ("GET", "/api/sessions/", "/api/sessions"),
    ],
)
def test_an_address_that_is_not_there(http: httpx.Client, method: str, path: str, meant: str | None) -> None:
    reply = http.request(method, path)
    assert reply.status_code == 404
    message = said(reply, "/v1/messages" if "/v1/messages" in path else path)["message"]
    assert message.startswith("there is no such address here")
    assert message.endswith(f"it is {meant}") if meant else "it is" not in message


def test_pages_say_which_methods_they_have(http: httpx.Client) -> None:
    reply = http.post("/playground")
    assert reply.status_code == 405
    assert reply.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ASKED)
def test_the_other_name_of_a_route_is_the_same_route(http: httpx.Client, path: str) -> None:
    one, other = http.post(path, json=ASKED[path]), http.post(ALIAS + path, json=ASKED[path])
    assert one.status_code == other.status_code == 200
    assert set(one.json()) == set(other.json())


# ---------------------------------------------------------------------------------------------------- its own routes


@pytest.mark.parametrize(
    ("query", "param"),
    [
        *(
            (f"limit={said}", "limit")
            for said in ("0", "-1", "1001", "1e2", "1.5", "", "x", "9" * 30, "%D9%A1")
        ),
        *((f"cursor={said}", "cursor") for said in ("", "x", "%00", "A" * 600, "W10", "bm90IG91cnM")),
        ("limt=5", "limt"),
        ("limit=5&limit=6", "limit"),
    ],
)
def test_lists_are_read_in_pieces_that_they_have(http: httpx.Client, query: str, param: str) -> None:
    for path in ("/api/sessions", "/api/keys", "/api/users", "/api/audit", "/api/usage/attempts"):
        reply = http.get(f"{path}?{query}")
        assert reply.status_code == 400, (path, reply.text)
        assert said(reply, path)["param"] == param


def test_a_cursor_is_good_for_its_own_list_only(http: httpx.Client) -> None:
    for name in ("one", "two"):
        http.post("/api/keys", json={"name": name})
    cursor = http.get("/api/keys?limit=1").json()["next"]
    assert http.get("/api/keys", params={"limit": "1", "cursor": cursor}).status_code == 200
    for path in ("/api/users", "/api/audit", "/api/sessions"):
        assert http.get(path, params={"cursor": cursor}).json()["error"]["param"] == "cursor"


@pytest.mark.parametrize("name", ["nobody", "%00", "%ff", "x" * 4000, "..%2f..", "%F0%9F%98%80"])
def test_what_is_not_there_is_not_found(http: httpx.Client, name: str) -> None:
    for method, path in (
        ("GET", "/api/sessions/"),
        ("PATCH", "/api/sessions/"),
        ("DELETE", "/api/sessions/"),
        ("PATCH", "/api/keys/"),
        ("DELETE", "/api/keys/"),
        ("GET", "/api/users/"),
        ("PATCH", "/api/users/"),
        ("DELETE", "/api/users/"),
        ("POST", "/api/users/"),
        ("PATCH", "/api/providers/"),
        ("DELETE", "/api/providers/"),
        ("GET", "/v1/models/"),
    ):
        end = "/link" if method == "POST" else ""
        body = {"json": {}} if method == "PATCH" else {}
        reply = http.request(method, path + name + end, **body)  # type: ignore[arg-type]  # a JSON body, or none
        assert reply.status_code == 404, (method, path, reply.text)
        said(reply, path)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("GET", "/api/keys?user_id=nobody", None, 404, None),
        ("POST", "/api/keys", {"name": "k", "user_id": "nobody"}, 404, None),
        ("POST", "/api/keys", {"name": "k", "user_id": "all"}, 400, "user_id"),
        ("POST", "/api/keys", {"name": "k", "scopes": []}, 400, "scopes"),
        ("POST", "/api/keys", {"name": "k", "rpm": 2**31 + 1}, 400, "rpm"),
        ("POST", "/api/keys", {"name": "k", "expires_at": 1}, 400, "expires_at"),
        ("POST", "/api/keys", {"name": "k", "nmae": "k"}, 400, "nmae"),
        ("GET", "/api/settings/llm?scope=mine", None, 400, "scope"),
        ("GET", "/api/settings/llm/models?provider=nobody", None, 400, "provider"),
        ("GET", "/api/models?refresh=perhaps", None, 400, "refresh"),
        ("PUT", "/api/settings/llm", {"provider": "openai", "api_key": "a b"}, 400, "api_key"),
        ("PUT", "/api/settings/llm", {"provider": "openai", "api_key": "é\x00"}, 400, "api_key"),
        ("PUT", "/api/settings/llm", {"provider": "openai", "base_url": "https://[::1"}, 400, "base_url"),
        ("POST", "/api/settings/llm/test", {"provider": "openai", "api_key": "\x00"}, 400, "api_key"),
        ("POST", "/api/providers", {"name": "order", "provider": "openai", "api_key": "sk-x"}, 400, "name"),
        ("POST", "/api/providers", {"name": "..", "provider": "openai", "api_key": "sk-x"}, 400, "name"),
        ("POST", "/api/providers", {"name": "a/b", "provider": "openai", "api_key": "sk-x"}, 400, "name"),
        ("PATCH", "/api/providers/openai", {"name": "other"}, 400, "name"),
        ("POST", "/api/providers/reload", {"x": 1}, 400, "x"),
        ("GET", "/api/usage?since=2026-1-1", None, 400, "since"),
        ("GET", "/api/usage?since=%D9%A2026-01-01", None, 400, "since"),
        ("GET", "/api/usage?since=2026-11-21&until=2026-11-20", None, 400, "since"),
        ("GET", "/api/usage?by=day,day", None, 400, "by"),
        ("GET", "/api/usage?by=", None, 400, "by"),
        ("POST", "/api/users", {"name": "two\nlines"}, 400, "name"),
        ("POST", "/api/users", {"name": "u", "password": "short"}, 400, "password"),
        (
            "POST",
            "/api/sessions",
            {"provider": "gemini", "agents": {"": {"provider": "gemini"}}},
            400,
            "agents",
        ),
        ("POST", "/api/sessions", {"provider": "gemini", "settings": {"a": "x" * 9000}}, 400, "settings"),
    ],
)
def test_bad_questions_to_the_gateway_itself(
    http: httpx.Client, method: str, path: str, body: Any, status: int, param: str | None
) -> None:
    before = state(http)
    reply = http.request(method, path, **({} if body is None else {"json": body}))
    assert reply.status_code == status, reply.text
    assert said(reply, path)["param"] == param
    assert state(http) == before


def test_bounds_are_said_in_full(http: httpx.Client) -> None:
    reply = http.post("/api/keys", json={"name": "k", "rpm": 0})
    assert reply.json()["error"]["message"] == "rpm: must be from 1 to 2,147,483,648, not 0"


def test_an_administrator_is_always_left(http: httpx.Client) -> None:
    me = http.get("/api/me").json()["user"]["id"]
    for answer in (
        http.delete(f"/api/users/{me}"),
        http.patch(f"/api/users/{me}", json={"disabled": True}),
        http.patch(f"/api/users/{me}", json={"role": "user"}),
    ):
        assert answer.status_code == 409
        assert "another one" in said(answer, "/api/users")["message"]
    assert http.patch(f"/api/users/{me}", json={"disabled": False, "role": "admin"}).status_code == 200


def test_a_model_of_each_provider_is_found_by_its_full_name(http: httpx.Client) -> None:
    for provider in ("openai", "anthropic", "gemini"):
        assert http.get(f"/v1/models/{provider}/sim-small").json()["id"] == "sim-small"
        assert http.get(f"/v1/models/{provider}%2Fsim-small").status_code == 200
    assert http.get("/v1/models/nobody/sim-small").status_code == 404
