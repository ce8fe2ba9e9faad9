"""A secret that masks itself everywhere and is unwrapped in one place; redaction of texts from outside."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus

MASK = "***"

# Shapes of keys that vendors hand out; a text that holds one is masked even where we do not know the key.
_KEY_SHAPES = re.compile(
    r"(?:llmc[os]?|sk|pk|rk|xai|gsk|hf|r8|csk|pplx|fw|key|tgp|AIza|ya29)[-_.][A-Za-z0-9_\-.*]{8,}"
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


class Veiled(Mapping[str, str]):
    """Variables whose values do not show, so that a traceback with locals may hold them."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values: Mapping[str, str] = values._values if isinstance(values, Veiled) else values

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{len(self)} variables>"


SHORTEST = 4
"""A shorter "key" is a placeholder for a local server; masking it would garble every text and so give it away."""


LONG = 8
"""From this length on a secret is also masked inside Base64, and the pieces of a secret header each for itself."""

_SECRET_HEADER = ("key", "token", "secret", "auth", "cookie", "password", "credential")
_PERCENT = re.compile(r"%[0-9A-F]{2}")


class Redactor:
    """Masks the same secrets in many texts: as they are, URL-encoded, in JSON and in Base64."""

    __slots__ = ("_forms", "_values")

    def __init__(self, secrets: Iterable[Secret | str | None]) -> None:
        values = [secret.reveal() if isinstance(secret, Secret) else secret or "" for secret in secrets]
        forms = {form for value in values for form in _forms(value)}
        # a header's whole value begins with its scheme, which is no secret; its pieces are here by themselves
        self._values = tuple(value for value in values if len(value) >= SHORTEST and " " not in value)
        self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))

    def __call__(self, text: str) -> str:
        """`text` without any of the secrets, nor anything that looks like a key."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return _KEY_SHAPES.sub(MASK, self._without_start(text))

    def _without_start(self, text: str) -> str:
        """`text` without the beginning of a secret at its end, where a cap has cut it."""
        for value in self._values:
            for length in range(min(len(value) - 1, len(text)), SHORTEST - 1, -1):
                if text.endswith(value[:length]):
                    return text[:-length] + MASK
        return text


def redact(text: str, *secrets: Secret | str | None) -> str:
    """`text` without any of `secrets`, nor anything that looks like a key."""
    return Redactor(secrets)(text)


def header_secrets(headers: Mapping[str, str]) -> tuple[Secret, ...]:
    """What is secret in `headers`, judged by their names: each such value, and its long pieces ("Bearer" stays)."""
    found: list[str] = []
    for name, value in headers.items():
        if any(word in name.lower() for word in _SECRET_HEADER):
            pieces = [piece for piece in re.split(r"[\s;,]+", value) if piece]
            pieces += [piece.partition("=")[2] for piece in pieces]
            found += [value, *(piece for piece in pieces if len(piece) >= LONG)]
    return tuple(Secret(value) for value in dict.fromkeys(found))


def _forms(secret: Secret | str | None) -> set[str]:
    """The ways in which a text may hold `secret`."""
    value = secret.reveal() if isinstance(secret, Secret) else secret
    if not value or len(value) < SHORTEST:
        return set()
    written = json.dumps(value)[1:-1]
    quoted = {quote(value, safe="", errors="replace"), quote(value, errors="replace")}
    quoted.add(quote_plus(value, errors="replace"))
    quoted |= {_PERCENT.sub(lambda found: found.group().lower(), form) for form in quoted}
    forms = {value, written, written.replace("/", "\\/"), *quoted}
    return forms | (_base64(value) if len(value) >= LONG else set())


def _base64(value: str) -> set[str]:
    """`value` in Base64, alone or at any place of a longer text: what its own bytes alone decide, at each alignment."""
    raw = value.encode(errors="replace")
    forms: set[str] = set()
    for encode in (b64encode, urlsafe_b64encode):
        alone = encode(raw).decode()
        forms |= {alone, alone.rstrip("=")}
        for before, start in ((0, 0), (1, 2), (2, 3)):
            forms.add(encode(bytes(before) + raw).decode()[start : (before + len(raw)) * 8 // 6])
    return forms
