"""Data to HTML: the templates, how figures read in them, and the headers under which a page is served."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from llmcore.gateway.http import COMMON, RawHeaders
from llmcore.gateway.pages import words
from llmcore.gateway.pages.static import Static

UNKNOWN = "\u2013"

CONTENT_SECURITY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)

HTML_TYPE = (b"content-type", b"text/html; charset=utf-8")

_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def plain(value: Any) -> Any:
    """What a template puts out: a text without characters that steer a terminal or turn the direction of writing.

    Each of them shows as U+FFFD. What is markup already stays; None is nothing.
    """
    if value is None:
        return ""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return _HIDDEN.sub("\ufffd", value)
    return value


def page_headers(request_id: str, *, secure: bool) -> RawHeaders:
    """The headers of every page and script. secure: whether browsers reach us over TLS."""
    headers: RawHeaders = [
        (b"x-request-id", request_id.encode("ascii")),
        *COMMON,
        (b"content-security-policy", CONTENT_SECURITY.encode("ascii")),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    ]
    if secure:
        headers.append((b"strict-transport-security", b"max-age=31536000"))
    return headers


class Renderer:
    """Templates by name. Texts are escaped, unknown names in a template are errors."""

    def __init__(self, static: Static) -> None:
        self._templates = Environment(
            loader=PackageLoader("llmcore.gateway.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=plain,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["static"] = static.path
        self._templates.filters.update(
            json=as_text,
            seconds=seconds,
            milliseconds=milliseconds,
            dollars=dollars,
            share=share,
            count=count,
            moment=moment,
            instant=instant,
            outcome=words.outcome,
        )

    def page(self, name: str, values: Mapping[str, Any]) -> bytes:
        """The page of that template, as UTF-8; half a surrogate pair becomes a question mark."""
        return self._templates.get_template(name).render(values).encode("utf-8", "replace")


def as_text(value: Any) -> str:
    """JSON as a text like any other, so that it is escaped where it stands."""
    return json.dumps(value, separators=(",", ":"))


def seconds(value: float | None) -> str:
    """A duration in seconds as people read it."""
    return UNKNOWN if value is None else milliseconds(value * 1000)


def milliseconds(value: float | None) -> str:
    """A duration in milliseconds as people read it."""
    if value is None:
        return UNKNOWN
    if value < 999.5:
        return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
    return f"{value / 1000:.2f} s" if value < 60_000 else f"{value / 60_000:.1f} min"


def dollars(value: float | None) -> str:
    """US dollars; of small sums the digits that count."""
    if value is None:
        return UNKNOWN
    if value == 0 or value >= 1:
        return f"${value:,.2f}"
    whole, _, digits = f"{value:.{4 if value >= 0.0001 else 6}f}".partition(".")
    return f"${whole}.{digits.rstrip('0'):0<2}"


def share(value: float | None) -> str:
    """0 to 1 as per cent."""
    if value is None:
        return UNKNOWN
    return f"{value * 100:.0f} %" if value in {0.0, 1.0} else f"{value * 100:.1f} %"


def count(value: float | None) -> str:
    """A whole number with thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def moment(value: float | None) -> str:
    """Epoch seconds as UTC; the script of the page turns it into the reader's own time."""
    return UNKNOWN if value is None else datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M UTC")


def instant(value: float) -> str:
    """Epoch seconds for `<time datetime>`."""
    return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
