"""LiteLLM: `acompletion`, and its Router over two deployments; telemetry off, its price list read from the package."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.clients.base import KEY, MESSAGES, MODEL, TEXTS, Seen, Setting
from benchmarks.clients.openai_sdk import look, offered
from benchmarks.clients.vectors import numbers_in

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # before its import, which would ask the network for one

import litellm

litellm.telemetry = False
litellm.suppress_debug_info = True


class Calls:
    """What `litellm` and its Router have in common: `acompletion` and `aembedding`; where to is in `given`."""

    def __init__(self, face: Any, setting: Setting, given: dict[str, Any]) -> None:
        self.face, self.setting, self.given = face, setting, given

    async def generate(self) -> str:
        response = await self.face.acompletion(messages=MESSAGES, **self.given)
        text: str = response.choices[0].message.content
        return text

    async def stream(self) -> Seen:
        seen = Seen()
        chunks = await self.face.acompletion(
            messages=MESSAGES, stream=True, **offered(self.setting), **self.given
        )
        async for chunk in chunks:
            look(seen, chunk)
        return seen

    async def embed(self) -> int:
        response = await self.face.aembedding(
            input=TEXTS, encoding_format=self.setting.encoding, **self.given
        )
        return numbers_in({"data": response.data})

    async def aclose(self) -> None:
        """Its HTTP clients belong to the whole process and end with it."""


def acompletion(setting: Setting) -> Calls:
    given = {"model": f"openai/{MODEL}", "api_base": setting.url, "api_key": KEY}
    return Calls(litellm, setting, given)


def deployment(group: str, url: str, **more: Any) -> dict[str, Any]:
    place = {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY, **more}
    return {"model_name": group, "litellm_params": place}


def router(setting: Setting) -> Calls:
    """Two deployments of one group, as its documentation starts; the Router draws one for each call."""
    face = litellm.Router(model_list=[deployment(MODEL, url) for url in setting.urls])
    return Calls(face, setting, {"model": MODEL})


def failover(setting: Setting) -> Calls:
    """A first group and the one to fall back to; everything else at its default."""
    groups = [deployment(f"g{index}", url) for index, url in enumerate(setting.urls)]
    return Calls(litellm.Router(model_list=groups, fallbacks=[{"g0": ["g1"]}]), setting, {"model": "g0"})


def failover_tuned(setting: Setting) -> Calls:
    """No retries anywhere, the first failure cools down, no wait asked for: the fastest way over that we found."""
    groups = [deployment(f"g{index}", url, max_retries=0) for index, url in enumerate(setting.urls)]
    face = litellm.Router(
        model_list=groups,
        fallbacks=[{"g0": ["g1"]}],
        num_retries=0,
        retry_after=0,
        allowed_fails=0,
        cooldown_time=30,
    )
    return Calls(face, setting, {"model": "g0"})
