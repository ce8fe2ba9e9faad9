"""What a vendor says of its rate limits in the headers of an answer."""

from __future__ import annotations

from attrs import frozen


@frozen
class Limit:
    """One limit. limit: what is allowed per window; remaining: what is left of it; resets_s: seconds until it is whole
    again, from the moment of the answer. None where the vendor did not say.
    """

    limit: float | None = None
    remaining: float | None = None
    resets_s: float | None = None


@frozen
class RateLimits:
    """The limits that one answer told, for the key and model that it was asked with. None where nothing was said."""

    requests: Limit | None = None
    tokens: Limit | None = None
    input_tokens: Limit | None = None
    output_tokens: Limit | None = None
