"""The document: derived from the table, whole, valid, and true of what a real gateway answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from llmcore.gateway.api import schemas
from llmcore.gateway.api.openapi import document
from llmcore.gateway.api.table import Route
from tests.gateway.api.outside import Outside, outside
from tests.gateway.whole import whole

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with outside(tmp_path_factory.mktemp("openapi")) as found:
        yield found


@pytest.fixture(scope="module")
def told(served: Outside) -> dict[str, Any]:
    with served.http(served.nobody) as http:
        found: dict[str, Any] = http.get("/openapi.json").json()
        return found


def operations(told: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in told["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def resolved(told: Mapping[str, Any], node: Any) -> Any:
    """`node` with every reference into the document replaced by what it names."""
    if isinstance(node, dict):
        if "$ref" in node:
            found: Any = told
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            return resolved(told, found)
        return {key: resolved(told, value) for key, value in node.items()}
    return [resolved(told, item) for item in node] if isinstance(node, list) else node


def sealed(schema: Any) -> Any:
    """The same, but nothing may come that is not named: whoever adds a member of ours has to tell of it."""
    if isinstance(schema, list):
        return [sealed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: sealed(value) for key, value in schema.items() if key not in {"examples", "const", "enum"}}
    closed |= {key: schema[key] for key in ("const", "enum") if key in schema}
    if schema.get("properties") and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def check(schema: Any, value: Any) -> None:
    Draft202012Validator(sealed(schema), format_checker=FormatChecker()).validate(value)


def check_answer(told: Mapping[str, Any], operation: Mapping[str, Any], reply: httpx.Response) -> None:
    """Status, content type, headers and body are as the document says."""
    assert str(reply.status_code) in operation["responses"], reply.text
    answer = resolved(told, operation["responses"][str(reply.status_code)])
    kind = reply.headers["content-type"].partition(";")[0]
    assert kind in answer["content"]
    for name, header in answer["headers"].items():
        if header.get("required"):
            assert name in reply.headers
        if name in reply.headers and header["schema"].get("type") == "integer":
            int(reply.headers[name])
    schema = answer["content"][kind]["schema"]
    if kind == "application/json" and reply.url.path.startswith(
        "/v1/"
    ):  # the wires are their vendors', and grow
        Draft202012Validator(schema).validate(reply.json())
    elif kind == "application/json":
        check(schema, reply.json())
    elif kind == "text/event-stream":
        found = events(reply.text)
        assert found
        for event in found:
            check_event(schema, event)


def events(text: str) -> list[dict[str, str]]:
    pieces = [piece for piece in text.split("\n\n") if piece and not piece.startswith(":")]
    return [dict(line.split(": ", 1) for line in piece.split("\n")) for piece in pieces]  # type: ignore[misc]  # each line splits in two


def check_event(schema: Any, event: dict[str, str]) -> None:
    check(schema, event)
    for one in schema.get("anyOf", [schema]):
        content = one["properties"]["data"].get("contentSchema")
        if content is not None and event["data"] != "[DONE]":
            Draft202012Validator(content).validate(json.loads(event["data"]))


# -------------------------------------------------------------------------------------------------- the table


def missing(route: Route) -> list[str]:
    """What the document would not tell of this route."""
    operation = next(iter(document([route])["paths"].values()))[route.method.lower()]
    found = []
    for status, answer in operation["responses"].items():
        content = resolved(document([]), answer)["content"]
        found += [
            f"{status}: {kind} has no schema" for kind, one in content.items() if not says(one["schema"])
        ]
        if not content:
            found.append(f"{status}: no content")
    body = operation.get("requestBody", {"content": {}})["content"]
    found += [f"the body: {kind} has no schema" for kind, one in body.items() if not says(one["schema"])]
    for one in operation["parameters"]:
        if not says(one["schema"]) or (one["in"] != "path" and not one.get("description")):
            found.append(f"{one['name']}: not described")
    return found


def says(schema: Mapping[str, Any]) -> bool:
    """Whether a schema says more than that there is an object, or anything."""
    return bool(schema) and schema != schemas.ANY


@pytest.mark.anyio
async def test_every_route_is_told_whole(tmp_path: Path) -> None:
    async with whole(tmp_path) as on:
        lacking = {f"{route.method} {route.path}": missing(route) for route in on.app.table}
    assert {name: found for name, found in lacking.items() if found} == {}


def test_a_route_that_tells_nothing_is_noticed() -> None:
    endpoint: Any = None
    bare = Route("GET", "/x", "open", "x", "x", endpoint)
    assert missing(bare) == ["200: application/json has no schema"]
    vague = Route("POST", "/x", "open", "x", "x", endpoint, {}, schemas.ANY, {"q": {"description": ""}})
    assert len(missing(vague)) == 3


def test_the_document_is_valid_and_names_every_route_once(told: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(told).iter_errors()] == []
    ids = [operation["operationId"] for _, _, operation in operations(told)]
    assert len({*ids}) == len(ids)
    for _, _, operation in operations(told):
        for answer in operation["responses"].values():
            for content in resolved(told, answer)["content"].values():
                Draft202012Validator.check_schema(content["schema"])


def test_each_error_is_shown_by_an_example_of_its_own_shape(told: dict[str, Any]) -> None:
    for name, answer in resolved(told, told["components"]["responses"]).items():
        content = answer["content"]["application/json"]
        check(content["schema"], content["example"])
        assert ("request_id" in content["example"]) is name.startswith("Anthropic")


# ------------------------------------------------------------------------------------------------ real answers

REFUSED = {
    ("POST", "/api/sign-in"): 401,
    ("PUT", "/api/me/password"): 403,
    ("POST", "/api/providers/reload"): 400,
}
"""Examples that this gateway does not take: no such password, a key instead of a browser, no configuration file."""


def test_examples_are_taken_and_answered_as_told(served: Outside, told: dict[str, Any]) -> None:
    with served.http(served.admin) as http:
        session = http.post("/api/sessions", json={"provider": "openai"}).json()["id"]
        key = http.post("/api/keys", json={"name": "changed"}).json()["key"]["id"]
        user = http.post("/api/users", json={"name": "changed"}).json()["id"]
        ids = {"/api/sessions/{id}": session, "/api/keys/{id}": key, "/api/users/{id}": user}
        http.post("/api/providers", json={"name": "third", "provider": "openai", "api_key": "sk-x"})
        count = 0
        for method, path, operation in operations(told):
            content = operation.get("requestBody", {"content": {}})["content"]
            for example in content.get("application/json", {}).get("examples", {}).values():
                check(content["application/json"]["schema"], example["value"])
                address = path.replace("{id}", ids.get(path, "")).replace("{name}", "third")
                reply = http.request(method, address, json=example["value"])
                expected = REFUSED.get((method, path), 201 if "201" in operation["responses"] else 200)
                assert reply.status_code == expected, (method, path, reply.text)
                check_answer(told, operation, reply)
                count += 1
    assert count > 20


def test_what_is_read_is_as_told(served: Outside, told: dict[str, Any]) -> None:
    with served.http(served.admin) as http:
        http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "x"}]})
        http.post("/api/settings/llm/test", json={"provider": "gemini"})
        session = http.post(
            "/api/sessions", json={"provider": "openai", "agents": {"a": {"provider": "gemini"}}}
        )
        ids = {
            "/api/sessions/{id}": session.json()["id"],
            "/api/users/{id}": http.get("/api/me").json()["user"]["id"],
            "/v1/models/{id}": "anthropic/sim-small",
        }
        for path, query in (
            ("/api/usage", "?by=day,provider,model,user,key"),
            ("/api/usage.csv", "?scope=all"),
        ):
            reply = http.get(path + query)
            check_answer(told, told["paths"][path]["get"], reply)
        for method, path, operation in operations(told):
            if method == "GET" and not path.endswith("/events"):
                reply = http.get(path.replace("{id}", ids.get(path, "")))
                assert reply.status_code == 200, (path, reply.text)
                check_answer(told, operation, reply)


def test_models_are_told_in_either_form(served: Outside, told: dict[str, Any]) -> None:
    with served.http(served.user) as http:
        for path in ("/v1/models", "/v1/models/smart"):
            answers = [http.get(path), http.get(path, headers={"anthropic-version": "2023-06-01"})]
            operation = told["paths"][path.replace("smart", "{id}")]["get"]
            openai, anthropic = operation["responses"]["200"]["content"]["application/json"]["schema"][
                "anyOf"
            ]
            check(openai, answers[0].json())
            check(anthropic, answers[1].json())


def test_the_live_status_is_as_told(served: Outside, told: dict[str, Any]) -> None:
    path = "/api/v1/llm/status/events"
    schema = told["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
    with served.http(served.user) as http:
        assert http.head(path).headers["content-type"].startswith("text/event-stream")
        with http.stream("GET", path) as reply:
            text = ""
            for piece in reply.iter_text():
                text += piece
                if "\n\n" in text:
                    break
        check_event(schema, events(text[: text.index("\n\n")])[0])


def test_who_may_not_hears_it_as_told(served: Outside, told: dict[str, Any]) -> None:
    """Each route as nobody, and as a user without more rights."""
    with served.http(served.nobody) as nobody, served.http(served.user) as user:
        for method, path, operation in operations(told):
            address = path.replace("{id}", "x").replace("{name}", "x")
            if operation["security"]:
                reply = nobody.request(method, address, json={})
                assert reply.status_code == 401, path
                check_answer(told, operation, reply)
            if operation["description"].startswith("For administrators"):
                reply = user.request(method, address, json={})
                assert reply.status_code == 403, path
                check_answer(told, operation, reply)


def test_streams_that_fail_before_and_after_they_began_are_as_told(
    served: Outside, told: dict[str, Any]
) -> None:
    asked = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9, "input": "x", "stream": True}
    with served.http(served.user) as http:
        for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/playground"):
            for model in ("nobody/x", "openai/sim-model"):
                reply = http.post(path, json={**asked, "model": model})
                check_answer(told, told["paths"][path]["post"], reply)


def test_a_signed_in_browser_is_taken_where_the_document_says_so(
    served: Outside, told: dict[str, Any]
) -> None:
    with served.http(served.admin) as http:
        me = http.get("/api/me").json()["user"]["id"]
        token = http.post(f"/api/users/{me}/link").json()["token"]
    with served.http(served.nobody) as browser:
        csrf = browser.post("/api/sign-in", json={"token": token}).json()["csrf"]
        ours = {"origin": served.url, "sec-fetch-site": "same-origin", "x-csrf-token": csrf}
        for method, path, operation in operations(told):
            if not operation["security"] or path in {"/api/sign-out", "/api/v1/llm/status/events"}:
                continue
            address = path.replace("{id}", "x").replace("{name}", "x")
            reply = browser.request(method, address, json={}, headers=ours)
            assert (reply.status_code != 401) is ({"browser": []} in operation["security"]), (method, path)
