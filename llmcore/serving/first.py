"""The first start: an administrator, a link that signs in once, a key; and what a public address demands.

There is never a way in without a credential, on loopback neither (T23): any web page can reach that.
"""

from __future__ import annotations

import time

from attrs import frozen

from llmcore.errors import ConfigurationError
from llmcore.gateway.access.principal import ALL_SCOPES
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.store import Store, StoreConflict, User
from llmcore.gateway.vault import Vault
from llmcore.secret import Secret

ADMIN_NAME = "admin"
KEY_NAME = "first key"
LINK_S = 3600.0


@frozen
class Welcome:
    """What is shown once. link: signs in once, within an hour. key: the API key that was made; None later than the first."""

    address: str
    link: Secret | None = None
    key: Secret | None = None


async def welcome(store: Store, vault: Vault, config: GatewayConfig, port: int) -> Welcome:
    """Make what is missing. Raises ConfigurationError for a public address without any user."""
    address = config.public_url or f"http://{_shown(config.host)}:{port}"
    admin = await _admin(store)
    if admin is not None:
        if admin.password_hash is not None or not config.loopback:
            return Welcome(address)
        return Welcome(address, await sign_in_link(store, vault, admin, address))
    if not config.loopback:
        raise ConfigurationError(
            f"gateway.host: {config.host} can be reached by others, and there is no user yet; make one first with "
            "`llmcore keys create NAME`, or start once on 127.0.0.1"
        )
    try:
        admin = await store.users.create(ADMIN_NAME, "admin", now=time.time())
    except StoreConflict:  # another process was faster, and has shown its link
        return Welcome(address)
    key = await new_key(store, vault, admin, KEY_NAME)
    return Welcome(address, await sign_in_link(store, vault, admin, address), key)


async def sign_in_link(store: Store, vault: Vault, user: User, address: str) -> Secret:
    """The token is behind "#", which no browser sends and no log holds."""
    made, now = vault.tokens.new_one_time_token(), time.time()
    await store.one_time_tokens.add(user.id, made.digest, now=now, expires_at=now + LINK_S)
    return Secret(f"{address}/sign-in#token={made.token.reveal()}")


async def new_key(store: Store, vault: Vault, user: User, name: str) -> Secret:
    """A key of that user with every scope."""
    made, now = vault.tokens.new_virtual_key(), time.time()
    key = await store.keys.create(
        user.id, public_id=made.public_id, digest=made.digest, name=name, now=now, scopes=ALL_SCOPES
    )
    await store.audit.append(
        at=now,
        actor="system",
        source="command line",
        action="key.create",
        target=key.id,
        detail={"name": name},
    )
    return made.token


async def _admin(store: Store) -> User | None:
    """The first administrator; any user where there is no other."""
    cursor: str | None = None
    found: User | None = None
    while True:
        page = await store.users.list(limit=1000, cursor=cursor)
        for user in page.items:
            if user.role == "admin" and not user.disabled:
                found = user  # newest first, so the last one is the first that was made
        if page.next is None:
            return found
        cursor = page.next


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
