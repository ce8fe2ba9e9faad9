"""A secret that masks itself everywhere and is unwrapped in one place; redaction of texts from outside."""

from __future__ import annotations

import re
from typing import Any, NoReturn

MASK = "***"

# Shapes of keys that vendors hand out; a text that holds one is masked even where we do not know the key.
_KEY_SHAPES = re.compile(
    r"(?:sk|pk|rk|xai|gsk|hf|r8|csk|pplx|fw|key|tgp|AIza|ya29)[-_.][A-Za-z0-9_\-.*]{8,}"
    r"|AIza[A-Za-z0-9_\-]{20,}"
    r"|(?i:bearer)\s+[A-Za-z0-9_\-.=+/]{8,}"
    r"|eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-.]+"
)


class Secret:
    """A key. `str`, `repr`, `format`, pickling and copying into text never show it; `reveal()` does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself; called where a request header is built, nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        msg = "a Secret is not pickled"
        raise TypeError(msg)


SHORTEST = 4
"""A shorter "key" is a placeholder for a local server; masking it would garble every text and so give it away."""


def redact(text: str, *secrets: Secret | str | None) -> str:
    """`text` without any of `secrets`, nor anything that looks like a key."""
    for secret in secrets:
        value = secret.reveal() if isinstance(secret, Secret) else secret
        if value and len(value) >= SHORTEST:
            text = text.replace(value, MASK)
    return _KEY_SHAPES.sub(MASK, text)
