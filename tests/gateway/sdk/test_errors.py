"""What the official SDKs make of errors: their own classes, their own retries, both styles of keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.gateway.sdk.served import KINDS, Served

QUESTION: Any = [{"role": "user", "content": "say: hello"}]
UPSTREAM = [
    ("fail-400", openai.BadRequestError, anthropic.BadRequestError),
    ("fail-401", openai.AuthenticationError, anthropic.AuthenticationError),
    ("fail-403", openai.PermissionDeniedError, anthropic.PermissionDeniedError),
    ("fail-404", openai.NotFoundError, anthropic.NotFoundError),
    ("fail-429", openai.RateLimitError, anthropic.RateLimitError),
    ("fail-500", openai.InternalServerError, anthropic.InternalServerError),
    ("fail-503", openai.InternalServerError, anthropic.InternalServerError),
    ("context-400", openai.BadRequestError, anthropic.BadRequestError),
    ("filter-400", openai.BadRequestError, anthropic.BadRequestError),
    ("reset", openai.InternalServerError, anthropic.InternalServerError),
]


@pytest.fixture(autouse=True)
def _afresh(gateway: Served) -> Iterator[None]:
    gateway.sim.reset()
    yield
    gateway.sim.reset()


def chat(client: openai.OpenAI, model: str, **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=QUESTION, **more)


def ask(claude: anthropic.Anthropic, model: str, **more: Any) -> Any:
    return claude.messages.create(model=model, max_tokens=20, messages=QUESTION, **more)


# ------------------------------------------------------------------------------------------------------ keys


@pytest.mark.parametrize("key", ["wrong", "llmc-" + "x" * 60])
def test_a_wrong_key(gateway: Served, key: str) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            chat(client, "openai/sim-model")
        with pytest.raises(openai.AuthenticationError):
            chat(client, "openai/sim-model", stream=True)
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    assert caught.value.type == "authentication_error"
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=key) as claude,
        pytest.raises(anthropic.AuthenticationError) as refused,
    ):
        ask(claude, "openai/sim-model")
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["error"]["type"] == "authentication_error"
    assert not gateway.sim.requests


def test_a_bearer_token_for_messages(gateway: Served) -> None:
    with anthropic.Anthropic(base_url=gateway.url, auth_token=gateway.key, api_key=None) as claude:
        assert ask(claude, "openai/sim-model").content[0].text == "hello"


def test_the_other_style_of_key_for_chats(gateway: Served) -> None:
    headers = {"Authorization": openai.Omit(), "x-api-key": gateway.key}
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="not this one") as client:
        answer = chat(client, "openai/sim-model", extra_headers=headers)
    assert answer.choices[0].message.content == "hello"


def test_the_alias_of_the_address(gateway: Served) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/proxy/llm/v1", api_key=gateway.key) as client:
        assert chat(client, "openai/sim-model").choices[0].message.content == "hello"
    with anthropic.Anthropic(base_url=f"{gateway.url}/proxy/llm", api_key=gateway.key) as claude:
        assert ask(claude, "openai/sim-model").content[0].text == "hello"


# ------------------------------------------------------------------------------------------------- our own no


def test_bad_requests(client: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, "openai/sim-model", temperature=9)
    assert (caught.value.param, caught.value.type) == ("temperature", "invalid_request_error")
    robot: Any = [{"role": "robot", "content": "x"}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="openai/sim-model", messages=robot)
    assert caught.value.param == "messages[0].role"
    number: Any = 7
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="openai/sim-model", input=number)
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(model="openai/sim-model", max_tokens=0, messages=QUESTION)


def test_unknown_models(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no-such-model")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.get("/nothing", cast_to=object)


@pytest.mark.parametrize("dialect", KINDS)
def test_a_model_that_the_vendor_does_not_have(
    client: openai.OpenAI, claude: anthropic.Anthropic, dialect: str
) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        chat(client, f"{dialect}/fail-404")
    assert caught.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError):
        ask(claude, f"{dialect}/fail-404")


# --------------------------------------------------------------------------------------------- the vendor's no


@pytest.mark.parametrize("dialect", KINDS)
@pytest.mark.parametrize(("model", "chats", "messages"), UPSTREAM, ids=[row[0] for row in UPSTREAM])
def test_the_classes(
    client: openai.OpenAI,
    claude: anthropic.Anthropic,
    dialect: str,
    model: str,
    chats: type[Exception],
    messages: type[Exception],
) -> None:
    for stream in (False, True):
        with pytest.raises(chats):
            chat(client, f"{dialect}/{model}", stream=stream)
    with pytest.raises(chats):
        client.responses.create(model=f"{dialect}/{model}", input="say: hello")
    with pytest.raises(messages):
        ask(claude, f"{dialect}/{model}")


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_a_cut_stream_is_an_error_and_no_end(
    client: openai.OpenAI, claude: anthropic.Anthropic, dialect: str
) -> None:
    question: Any = [{"role": "user", "content": "count: 30"}]
    chunks: list[Any] = []
    stream = client.chat.completions.create(model=f"{dialect}/cut-5", messages=question, stream=True)
    with pytest.raises(openai.APIError):
        chunks.extend(stream)
    assert any(chunk.choices[0].delta.content for chunk in chunks)
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)
    with (
        claude.messages.stream(model=f"{dialect}/cut-5", max_tokens=100, messages=question) as events,
        pytest.raises(anthropic.APIError),
    ):
        events.get_final_message()


def test_a_cut_stream_of_a_response(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="openai/cut-5", input="count: 30", stream=True))
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    failed = events[-1]
    assert failed.type == "response.failed"
    assert failed.response.status == "failed"
    assert failed.response.error is not None


# -------------------------------------------------------------------------------------------- the SDKs' retries


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini", "cohere"])
def test_the_sdks_retry_what_passes(gateway: Served, dialect: str) -> None:
    """The gateway asks once, the SDK comes again as told by Retry-After."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=1) as client:
        answer = chat(client, f"{dialect}/once-fail-429-1")
    assert answer.choices[0].message.content == "hello"
    first, second = [one for one in gateway.sim.requests if one.understood is not None]
    assert second.at - first.at > 0.9
    gateway.sim.reset()
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=1) as claude:
        assert ask(claude, f"{dialect}/once-fail-503").content[0].text == "hello"


def test_the_sdks_do_not_retry_what_stays(gateway: Served) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=3) as client:
        for model in ("fail-400", "fail-401", "fail-404", "quota-429"):
            gateway.sim.reset()
            with pytest.raises(openai.APIStatusError):
                chat(client, f"openai/{model}")
            assert len(gateway.sim.requests) == 1, model


def test_retry_after_is_shown(client: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        chat(client, "openai/fail-429-7")
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.code == "rate_limit_exceeded"
    with pytest.raises(anthropic.RateLimitError) as limited:
        ask(claude, "openai/fail-429-8")
    assert 7 <= int(limited.value.response.headers["retry-after"]) <= 8
    assert limited.value.request_id


@pytest.mark.anyio
async def test_async_errors(aclient: openai.AsyncOpenAI, aclaude: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(openai.NotFoundError):
        await aclient.chat.completions.create(model="openai/fail-404", messages=QUESTION)
    with pytest.raises(anthropic.NotFoundError):
        await aclaude.messages.create(model="openai/fail-404", max_tokens=20, messages=QUESTION)
