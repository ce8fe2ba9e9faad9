"""What goes out: the bytes of a request, and what is refused before any socket is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.errors import EndpointError
from llmcore.transport.base import Call
from llmcore.transport.outgoing import LARGE, Outgoing, Route

URL = "https://api.example/v1/x?key=query-secret"


def sent(
    url: str = URL, headers: dict[str, str] | None = None, *, method: str = "POST", body: bytes | None = b"{}"
) -> Outgoing:
    return Route(url).outgoing(Call(method, url, headers or {}, body))


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("http://a.example", "/", "a.example"),
        ("http://a.example:80/", "/", "a.example"),
        ("https://a.example:443/x", "/x", "a.example"),
        ("https://A.Example:80/X", "/X", "a.example:80"),
        ("HTTP://a.example:8080?q=1", "/?q=1", "a.example:8080"),
        ("http://a.example/x#part", "/x", "a.example"),
        ("http://a.example#part", "/", "a.example"),
        ("http://a.example/?u=http://b.example/", "/?u=http://b.example/", "a.example"),
        ("http://[::1]:8080/x", "/x", "[::1]:8080"),
        ("http://[::1]/x", "/x", "[::1]"),
        ("http://[fe80::1%eth0]:8080/x", "/x", "[fe80::1]:8080"),
    ],
)
def test_target_and_host(url: str, target: str, host: str) -> None:
    lines = sent(url).start.split(b"\r\n")
    assert lines[0] == f"POST {target} HTTP/1.1".encode()
    assert f"host: {host}".encode() in lines


def test_host_of_ones_own() -> None:
    head = sent(headers={"Host": "other.example"}).start
    assert head.count(b"host: ") == 1
    assert b"host: other.example\r\n" in head


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("POST", b"{}", b"2"),
        ("POST", b"", b"0"),
        ("POST", None, b"0"),
        ("PUT", None, b"0"),
        ("GET", b"{}", b"2"),
    ],
)
def test_length_of_the_body(method: str, body: bytes | None, length: bytes) -> None:
    head, _, rest = sent(method=method, body=body).start.partition(b"\r\n\r\n")
    assert head.endswith(b"\r\ncontent-length: " + length)
    assert rest == (body or b"")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_no_body_and_no_length(method: str) -> None:
    request = sent(method=method, body=None)
    assert b"content-length" not in request.start
    assert request.start.endswith(b"\r\n\r\n")
    assert request.bodiless is (method == "HEAD")


def test_large_body_goes_apart() -> None:
    small, large = b"x" * LARGE, b"x" * (LARGE + 1)
    assert sent(body=small).rest is None
    assert sent(body=small).start.endswith(small)
    request = sent(body=large)
    assert request.rest is not None
    assert bytes(request.rest) == large
    assert request.start.endswith(b"\r\n\r\n")


HEADERS = st.dictionaries(
    st.sampled_from(["authorization", "X-Own", "x-own", "User-Agent", "host", "x-other"]),
    st.sampled_from(["Bearer one", "Bearer two", "", "x"]),
)
CALLS = st.tuples(st.sampled_from(["POST", "GET"]), HEADERS, st.sampled_from([None, b"", b"{}"]))


@given(st.lists(CALLS, min_size=1, max_size=6))
def test_what_is_kept_of_the_last_request_never_shows_in_the_next(
    calls: list[tuple[str, dict[str, str], bytes | None]],
) -> None:
    route = Route(URL)
    for method, headers, body in calls:
        call = Call(method, URL, headers, body)
        kept, fresh = route.outgoing(call), Route(URL).outgoing(call)
        assert (kept.start, kept.rest, kept.bodiless) == (fresh.start, fresh.rest, fresh.bodiless)


def test_headers_that_change_after_the_call_are_seen() -> None:
    route, headers = Route(URL), {"authorization": "Bearer one"}
    route.outgoing(Call("POST", URL, headers, b""))
    headers["authorization"] = "Bearer two"
    assert b"Bearer two" in route.outgoing(Call("POST", URL, headers, b"")).start


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_framing_is_ours(name: str) -> None:
    with pytest.raises(EndpointError, match="the transport sets it"):
        sent(headers={name: "1"})


def test_nothing_shows() -> None:
    route = Route(URL)
    request = route.outgoing(Call("POST", URL, {"authorization": "Bearer header-secret"}, b"body-secret"))
    shown = f"{route!r} {route} {request!r} {request} {route._last[1]!r}"
    assert "secret" not in shown
