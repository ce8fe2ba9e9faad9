"""Errors: the table of facts, what they show, and how many become one."""

from __future__ import annotations

import builtins

import pytest

from llmcore import errors
from llmcore.errors import AllProvidersFailed, ProviderError

# class: (retryable, failover, health), as the table of the error taxonomy has it
FACTS = {
    "AuthenticationError": (False, True, False),
    "NoUsableKeyError": (False, True, False),
    "PermissionDeniedError": (False, True, False),
    "ModelNotFoundError": (False, True, False),
    "InvalidRequestError": (False, False, False),
    "UnsupportedFeatureError": (False, True, False),
    "ContextLengthError": (False, True, False),
    "ContentFilterError": (False, False, False),
    "RateLimitError": (True, True, False),
    "QuotaExhaustedError": (False, True, False),
    "OverloadedError": (True, True, True),
    "ServerError": (True, True, True),
    "ConnectTimeout": (True, True, True),
    "PoolTimeout": (False, True, False),
    "ReadTimeout": (True, True, True),
    "FirstTokenTimeout": (False, True, True),
    "InterChunkTimeout": (False, True, True),
    "TotalTimeout": (False, False, False),
    "ConnectionRefused": (True, True, True),
    "ConnectionReset": (True, True, True),
    "DNSError": (True, True, True),
    "TLSError": (False, True, True),
    "MalformedResponseError": (True, True, True),
    "GenerationFailedError": (True, True, False),
    "StreamInterruptedError": (False, False, True),
    "EndpointError": (False, True, False),
}


@pytest.mark.parametrize(("name", "facts"), FACTS.items())
def test_the_facts_that_the_loop_reads(name: str, facts: tuple[bool, bool, bool]) -> None:
    cls = getattr(errors, name)
    assert (cls.retryable, cls.failover, cls.health) == facts


def test_every_class_is_in_the_table_and_in_the_drawn_tree() -> None:
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, ProviderError)
        and value.__module__ == "llmcore.errors"
    }
    assert classes - set(FACTS) == {"ProviderError", "TimeoutError", "ConnectionError", "AllProvidersFailed"}
    assert errors.__doc__ is not None
    for name in classes:
        assert name in errors.__doc__


def test_timeouts_and_connections_are_the_builtins_too() -> None:
    assert issubclass(errors.ReadTimeout, builtins.TimeoutError)
    assert issubclass(errors.ConnectionReset, builtins.ConnectionError)


def test_an_error_shows_who_what_and_where() -> None:
    error = errors.RateLimitError(
        "slow down",
        provider="main",
        model="m",
        status=429,
        code="rate",
        request_id="req_1",
        retry_after=2.0,
        phase="headers",
    )
    assert (
        str(error)
        == "main/m: slow down (status 429, code rate, request req_1, phase headers, retry after 2 s)"
    )
    assert repr(error).startswith("<RateLimitError main/m")


def test_a_long_message_is_cut() -> None:
    assert len(errors.ServerError("x" * 5000).message) == 1024


def test_a_group_holds_everything_in_order_and_names_the_one_to_act_on() -> None:
    quota, auth, down = (
        errors.QuotaExhaustedError("q", provider="a"),
        errors.AuthenticationError("k", provider="b"),
        errors.ServerError("d"),
    )
    inner = AllProvidersFailed("inner", [auth, down])
    outer = AllProvidersFailed("none answered", [quota, inner], provider="manager")
    assert outer.leaves() == (quota, auth, down)
    assert outer.primary is auth
    assert isinstance(outer, ExceptionGroup)
    assert isinstance(outer, ProviderError)
    assert outer.failover
    assert str(outer).startswith("none answered: QuotaExhaustedError from a: q")
    caught: list[str] = []
    try:
        raise outer
    except* errors.ServerError as group:
        caught.append(str(len(group.exceptions)))
    except* errors.ProviderError:
        caught.append("rest")
    assert caught == ["1", "rest"]
