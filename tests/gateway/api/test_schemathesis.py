"""Schemathesis over every operation of the document, at a real socket: no 5xx of ours, and nothing but what is told.

As nobody, as a user and as an administrator; half of what is sent fits the document, the other half breaks it in one
place. The requests are the same each time; SCHEMATHESIS_EXAMPLES and SCHEMATHESIS_SEED ask for others, and for more.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.gateway.api.outside import Caller, Outside, outside

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "2"))
SEED = int(os.environ.get("SCHEMATHESIS_SEED", "1"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
CREDENTIALS = {"authorization", "x-api-key", "x-goog-api-key", "cookie"}
PROVIDERS = "/api/providers"
ENDLESS = "/api/v1/llm/status/events"
"""A stream that goes on until its reader leaves; `test_openapi` reads its beginning."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with outside(tmp_path_factory.mktemp("schemathesis")) as found:
        yield found


@pytest.fixture(scope="module")
def asked(served: Outside) -> list[tuple[Any, GenerationMode]]:
    """Every operation, each with what fits it and with what does not."""
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 50
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    return [(operation, mode) for operation in operations if operation.path != ENDLESS for mode in modes]


@pytest.mark.slow
@pytest.mark.parametrize("who", ["nobody", "user", "admin"])
def test_nothing_breaks_and_all_is_as_told(
    served: Outside, asked: list[tuple[Any, GenerationMode]], who: str
) -> None:
    caller: Caller = getattr(served, who)
    statuses: Counter[int] = Counter()
    with requests.Session() as session:
        for operation, mode in asked:
            try:
                ask(served, operation, mode, caller, session, statuses)
            except Unsatisfiable:  # there is no wrong way to ask for what takes nothing
                assert mode is GenerationMode.NEGATIVE
                assert operation.path in {"/healthz", "/readyz", "/api/v1/health", "/openapi.json"}
    assert statuses.total() >= len(asked) / 2
    assert statuses[200] > 0
    if who != "nobody":
        assert statuses[400] > 0
        assert statuses[401] < statuses.total() / 10


def ask(
    served: Outside,
    operation: Any,
    mode: GenerationMode,
    caller: Caller,
    session: requests.Session,
    statuses: Counter[int],
) -> None:
    """Send what fits that operation of the document, or does not, and look at each answer."""

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES if caller.token else 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(operation.as_strategy(generation_mode=mode))
    def each(case: Any) -> None:
        if caller.own.intersection(map(str, (case.path_parameters or {}).values())):
            return  # a key that revokes itself ends the test
        case.headers = dict(sent(case.headers))
        case.cookies = {}
        reply = case.call(headers=caller.headers, session=session, timeout=30)
        statuses[reply.status_code] += 1
        case.validate_response(reply, checks=CHECKS)
        if (
            reply.status_code == 201 and operation.path == PROVIDERS
        ):  # nobody is there: calls would end in a 502
            name = quote(json.loads(reply.request.body)["name"], safe="")
            session.delete(f"{served.url}{PROVIDERS}/{name}", headers=caller.headers).raise_for_status()

    each()


def sent(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is sent of the headers that were made up: no credentials; and a deadline is one that can be met."""
    for name, said in headers.items():
        if name.lower() == "x-request-timeout-ms" and re.fullmatch("0*[1-9][0-9]*", said) and len(said) <= 12:
            yield name, "60000"
        elif name.lower() not in CREDENTIALS:
            yield name, said
