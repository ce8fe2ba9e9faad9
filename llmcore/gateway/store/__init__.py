"""The gateway's database: `open_store(url)` gives a `Store`, whose repositories give frozen records.

Every query of what belongs to a user takes the user's id as its first argument (T14); where another user's row is asked
for, the answer is the one for a row that does not exist.
"""

from __future__ import annotations

from llmcore.gateway.store.engine import Database, sqlite_url
from llmcore.gateway.store.errors import (
    StoreConflict,
    StoreError,
    StoreInvalid,
    StoreOutdated,
    StoreUnavailable,
)
from llmcore.gateway.store.records import (
    SYSTEM,
    UNSET,
    AuditEntry,
    ChatSession,
    ConnectionTest,
    KeyOwner,
    LlmSettings,
    Page,
    SealedKey,
    SessionAgent,
    SettingsChange,
    Unset,
    UsageAttempt,
    UsageGroup,
    UsageSums,
    User,
    VirtualKey,
    WebSession,
    new_id,
)
from llmcore.gateway.store.settings import RetiredKey, origin_of
from llmcore.gateway.store.store import Store, open_store
from llmcore.gateway.store.upgrade import check_current, upgrade
from llmcore.gateway.store.usage import DIMENSIONS, Dimension
from llmcore.gateway.store.users import SignedIn

__all__ = [
    "DIMENSIONS",
    "SYSTEM",
    "UNSET",
    "AuditEntry",
    "ChatSession",
    "ConnectionTest",
    "Database",
    "Dimension",
    "KeyOwner",
    "LlmSettings",
    "Page",
    "RetiredKey",
    "SealedKey",
    "SessionAgent",
    "SettingsChange",
    "SignedIn",
    "Store",
    "StoreConflict",
    "StoreError",
    "StoreInvalid",
    "StoreOutdated",
    "StoreUnavailable",
    "Unset",
    "UsageAttempt",
    "UsageGroup",
    "UsageSums",
    "User",
    "VirtualKey",
    "WebSession",
    "check_current",
    "new_id",
    "open_store",
    "origin_of",
    "sqlite_url",
    "upgrade",
]
