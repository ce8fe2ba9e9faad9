"""What must hold of every case, whatever broke: pure questions about one call or one case, answered by a sentence or None."""

from __future__ import annotations

from llmcore.chaos.nouns import Case, Hit, Seen


def forbidden(case: Case) -> str | None:
    """What may never happen."""
    if case.trapped:
        return f"followed a redirect: {case.trapped} requests reached the other host"
    if case.facts.remote and case.calls and not case.hits:
        return "no provider was asked"
    for call in case.calls:
        if call.ended == "hung":
            return f"no answer and no error within {case.scenario.bounds.hang_s:g} s"
        if call.ended == "crashed":
            return f"an unexpected exception came out: {call.detail}"
        if call.strange:
            return call.strange[0]
        if call.leaked_key:
            return "the caller's key can be read in what came out"
    return f"left behind: {case.leaks[0]}" if case.leaks else None


def wrong_text(case: Case, call: Seen) -> str | None:
    """How the reader's text differs from what a healthy provider says."""
    expected, text = case.scenario.traffic.expected, call.text
    if text == expected:
        return None
    shape = f"{len(text)} of {len(expected)} characters"
    if expected.startswith(text):
        return f"a truncated answer was shown as a success ({shape})"
    if expected in text or _repeats(text, expected):
        return f"text came twice ({shape})"
    if is_subsequence(text, expected):
        return f"text is missing inside the answer ({shape})"
    if is_subsequence(expected, text):
        return f"more text came out than the provider said ({shape})"
    return f"another text than the provider's came out ({shape})"


def _repeats(text: str, expected: str) -> bool:
    """Whether a piece of `expected` stands again where the text leaves it."""
    same = 0
    while same < min(len(text), len(expected)) and text[same] == expected[same]:
        same += 1
    rest = text[same:].lstrip()
    return same > 0 and len(rest) >= 5 and rest[:40] in expected[: same + 40]


def is_subsequence(text: str, expected: str) -> bool:
    letters = iter(expected)
    return all(letter in letters for letter in text)


def lie(case: Case, call: Seen) -> str | None:
    """Whether an answer names somebody who gave none, or tokens that nobody counted."""
    if case.facts.remote and call.provider is None:
        return None
    if call.provider not in case.facts.names:
        return f"the answer names {call.provider!r}, which is no provider of ours"
    served = [hit for hit in of(case, call.provider) if hit.status == 200]
    if not served:
        return f"the answer names {call.provider}, which gave none"
    if call.continued or call.usage.output_tokens is None:
        return None
    told = (call.usage.input_tokens, call.usage.output_tokens)
    if told not in {(hit.input_tokens, hit.output_tokens) for hit in served}:
        return f"the usage {told} is none that {call.provider} counted"
    return None


def of(case: Case, provider: str | None) -> tuple[Hit, ...]:
    """What arrived at one provider."""
    return tuple(hit for hit in case.hits if hit.provider == provider)


def attempts_at(case: Case, provider: str) -> int:
    """Attempts at a provider: by its own record, or by the caller's trail where that knows of more."""
    told = sum(attempt.provider == provider for call in case.calls for attempt in call.attempts)
    return max(len(of(case, provider)), told)


def attempts(case: Case) -> int:
    return sum(attempts_at(case, name) for name in case.facts.names)


def allowed_at_broken(case: Case) -> int:
    """The bound on attempts at the broken provider."""
    bound = case.scenario.bounds.broken
    return (1 + case.facts.retries) * len(case.calls) if bound is None else bound


def limit(case: Case, seconds: float) -> float:
    """A bound in real seconds; the machine's own lateness is not the manager's."""
    return seconds * case.facts.factor + case.late_s


def published(case: Case, seconds: float) -> float:
    """Real seconds as they would have been with the published timings."""
    return seconds / case.facts.factor


def times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
