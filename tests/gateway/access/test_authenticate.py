"""What is remembered of a credential, and for how long."""

from __future__ import annotations

import pytest

from llmcore.gateway.access.authenticate import Authenticator
from llmcore.gateway.errors import Unauthorized
from tests.gateway.standin import ALICE, KEY, Keys

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_key_whose_user_is_enabled_again_counts_at_once() -> None:
    keys = Keys()
    authenticator = Authenticator(keys, ttl=1000.0, now=lambda: 0.0)
    assert await authenticator.principal(KEY) == ALICE
    del keys.keys[KEY]
    authenticator.forget(user_id=ALICE.user_id)
    for _ in range(2):
        with pytest.raises(Unauthorized):
            await authenticator.principal(KEY)
    keys.keys[KEY] = ALICE
    authenticator.forget(user_id=ALICE.user_id)
    assert await authenticator.principal(KEY) == ALICE
