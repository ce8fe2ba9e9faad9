"""Every route of the gateway, in one table."""

from __future__ import annotations

from llmcore.gateway.api import anthropic_schemas, openai_schemas, system_schemas
from llmcore.gateway.api.connections import ConnectionsApi
from llmcore.gateway.api.count_tokens import COUNTED_INPUT, CountInputTokens, CountTokens
from llmcore.gateway.api.embeddings import Embeddings
from llmcore.gateway.api.frame import Context, Reply
from llmcore.gateway.api.generation import Generation
from llmcore.gateway.api.health import HealthApi
from llmcore.gateway.api.keys import KeysApi
from llmcore.gateway.api.models import ModelsApi
from llmcore.gateway.api.openapi import document
from llmcore.gateway.api.providers import ProvidersApi
from llmcore.gateway.api.services import Services
from llmcore.gateway.api.sessions import SessionsApi
from llmcore.gateway.api.settings import SettingsApi
from llmcore.gateway.api.sign_in import SignInApi
from llmcore.gateway.api.table import Route
from llmcore.gateway.api.usage import UsageApi
from llmcore.gateway.api.users import UsersApi
from llmcore.gateway.http import as_json
from llmcore.gateway.mirror.anthropic import AnthropicMirror
from llmcore.gateway.mirror.openai_chat import OpenAIChatMirror
from llmcore.gateway.mirror.responses import ResponsesMirror
from llmcore.gateway.pages.playground import playground_route
from llmcore.gateway.serve import Desk


def call_routes(desk: Desk) -> tuple[Route, ...]:
    """The served wires."""
    chat, responses, messages = (
        Generation(desk, OpenAIChatMirror(), "chat"),
        Generation(desk, ResponsesMirror(), "responses"),
        Generation(desk, AnthropicMirror(), "messages"),
    )
    return (
        Route(
            *("POST", "/v1/chat/completions", "inference", "chat", "OpenAI's chat completions.", chat),
            *(openai_schemas.CHAT_BODY, openai_schemas.CHAT_ANSWER),
            tag="models",
            events=openai_schemas.CHAT_EVENT,
            asks_model=True,
        ),
        Route(
            *("POST", "/v1/responses", "inference", "responses", "OpenAI's responses.", responses),
            *(openai_schemas.RESPONSES_BODY, openai_schemas.RESPONSES_ANSWER),
            tag="models",
            events=openai_schemas.RESPONSES_EVENT,
            asks_model=True,
        ),
        Route(
            *("POST", "/v1/messages", "inference", "messages", "Anthropic's messages.", messages),
            *(anthropic_schemas.MESSAGES_BODY, anthropic_schemas.MESSAGES_ANSWER),
            tag="models",
            events=anthropic_schemas.MESSAGES_EVENT,
            asks_model=True,
        ),
        *count_routes(desk),
        Route(
            *("POST", "/v1/embeddings", "inference", "embeddings", "OpenAI's embeddings.", Embeddings(desk)),
            *(openai_schemas.EMBEDDINGS_BODY, openai_schemas.EMBEDDINGS_ANSWER),
            tag="models",
            asks_model=True,
        ),
    )


def count_routes(desk: Desk) -> tuple[Route, ...]:
    """Tokens counted before a request is sent."""
    of_message, of_response = CountTokens(desk), CountInputTokens(desk)
    return (
        Route(
            *("POST", "/v1/messages/count_tokens", "inference", "count_tokens", "An estimate.", of_message),
            *(anthropic_schemas.COUNT_BODY, anthropic_schemas.COUNTED),
            tag="models",
            errors=(409, 422, 429),
        ),
        Route(
            *("POST", "/v1/responses/input_tokens", "inference", "input_tokens", "An estimate.", of_response),
            *(openai_schemas.RESPONSES_BODY, COUNTED_INPUT),
            tag="models",
            errors=(409, 422, 429),
        ),
    )


def all_routes(services: Services) -> tuple[Route, ...]:
    """Everything; the document tells of all of it, itself included."""
    apis = (
        *(ModelsApi(services), SettingsApi(services), ConnectionsApi(services), SessionsApi(services)),
        *(KeysApi(services), UsersApi(services), SignInApi(services), UsageApi(services)),
        *(ProvidersApi(services), HealthApi(services)),
    )
    routes: list[Route] = [*call_routes(services.desk), playground_route(services)]
    for api in apis:
        routes += api.routes()

    written: list[bytes] = []

    async def told(context: Context) -> Reply:
        if not written:
            written.append(as_json(document(routes, server=services.desk.config.public_url)))
        return Reply(written[0], content_type="application/json")

    routes.append(
        services.route(
            "GET",
            "/openapi.json",
            "open",
            "openapi",
            "This document.",
            told,
            response=system_schemas.DOCUMENT,
        )
    )
    return tuple(routes)
