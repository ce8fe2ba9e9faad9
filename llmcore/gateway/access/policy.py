"""Who may ask for what: one word per route, no default. A route without a word cannot be made."""

from __future__ import annotations

from typing import Literal, TypeAlias

from llmcore.gateway.access.principal import ACCOUNT, INFERENCE, Principal
from llmcore.gateway.errors import Forbidden

Access: TypeAlias = Literal["open", "inference", "account", "admin"]
"""open: anybody. inference: a key that may ask models (never a cookie). account: a key for one's own affairs, or a
signed-in browser. admin: the same of an administrator.
"""

ACCESS: tuple[Access, ...] = ("open", "inference", "account", "admin")


def check(access: Access, principal: Principal) -> None:
    """Raises Forbidden where `principal` may not."""
    if access == "inference" and (INFERENCE not in principal.scopes or principal.via == "session"):
        raise Forbidden(f"this needs a key with the scope {INFERENCE!r}", code="missing_scope")
    if access == "account" and ACCOUNT not in principal.scopes:
        raise Forbidden(f"this needs a key with the scope {ACCOUNT!r}", code="missing_scope")
    if access == "admin" and not principal.admin:
        raise Forbidden("only administrators may do this")
