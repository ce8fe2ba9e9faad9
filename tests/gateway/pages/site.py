"""A whole gateway with its pages, and what is in it to be shown."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from llmcore.gateway.api.routes import all_routes
from llmcore.gateway.app import create_app
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.pages.site import create_pages
from llmcore.gateway.store import UsageAttempt
from llmcore.testing import Outcome, ScriptedProvider
from tests.gateway.whole import Whole, whole

PAGES = ("/playground", "/settings", "/status", "/usage", "/keys")
ADMIN_PAGES = ("/providers", "/users")


@asynccontextmanager
async def site(
    path: Path, *providers: ScriptedProvider | Outcome, config: GatewayConfig | None = None
) -> AsyncIterator[Whole]:
    async with whole(path, *providers, config=config) as on:
        config = on.services.desk.config
        on.app = create_app(config, all_routes(on.services), pages=create_pages(on.services))
        yield on


async def used(on: Whole, who: str, *, provider: str, model: str, outcome: str = "success") -> None:
    """Put one attempt into the books."""
    attempt = UsageAttempt(
        request_id="req_1",
        at=time.time(),
        user_id=on.people[who].user.id,
        provider=provider,
        model=model,
        wire="openai",
        outcome=outcome,
        input_tokens=1200,
        output_tokens=34,
        counted="measured",
        cost_micros=5600,
        duration_ms=812.0,
        first_token_ms=140.0,
    )
    await on.store.usage.add([attempt])
