"""T1: what may be entered as an address, and what is dialled."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.addresses import Rules, checked, refusal, why_not
from llmcore.gateway.errors import BadRequest

PUBLIC = Rules()
LOCAL = Rules(local=True, servers=frozenset({"127.0.0.1:11434", "localhost:11434", "gpu-box:8000"}))

BAD = [
    "http://127.0.0.1",
    "https://127.0.0.1",
    "https://127.1",
    "https://127.0.1",
    "https://0x7f000001",
    "https://0x7f.0.0.1",
    "https://0177.0.0.1",
    "https://2130706433",
    "https://017700000001",
    "https://0",
    "https://0.0.0.0",
    "https://127.0.0.1.",
    "https://localhost",
    "https://localhost.",
    "https://LOCALHOST",
    "https://foo.localhost",
    "https://printer.local",
    "https://db.internal",
    "https://metadata.google.internal",
    "https://metadata",
    "https://169.254.169.254",
    "https://[fd00:ec2::254]",
    "https://169.254.170.2",
    "https://100.100.100.200",
    "https://168.63.129.16",
    "https://10.0.0.1",
    "https://172.16.0.1",
    "https://192.168.1.1",
    "https://100.64.0.1",
    "https://198.18.0.1",
    "https://192.0.2.1",
    "https://224.0.0.1",
    "https://240.0.0.1",
    "https://255.255.255.255",
    "https://[::1]",
    "https://[::]",
    "https://[::ffff:127.0.0.1]",
    "https://[::ffff:7f00:1]",
    "https://[0:0:0:0:0:ffff:127.0.0.1]",
    "https://[64:ff9b::7f00:1]",
    "https://[2002:7f00:1::]",
    "https://[2001:0:7f00:1::]",
    "https://[::127.0.0.1]",
    "https://[fe80::1]",
    "https://[fe80::1%25eth0]",
    "https://[fc00::1]",
    "https://[ff02::1]",
    "https://127.0.0.1.nip.io",
    "https://a.127-0-0-1.sslip.io",
    "https://localtest.me",
    "https://api.openai.com@evil.example",
    "https://user:pass@api.openai.com",
    "https://api.openai.com\\@127.0.0.1",
    "https://api.openai.com\\.evil.example",
    "https:\\\\api.openai.com",
    "https:/api.openai.com",
    "https:///api.openai.com",
    "https://api.openai.com#@127.0.0.1",
    "https://api.openai.com?x=1",
    "https://api.openai.com/v1?x=1",
    "https://api.openai.com/v1#x",
    "https://api.open\tai.com",
    "https://api.openai.com\r\nHost: evil",
    " https://api.openai.com",
    "https://api.openai.com ",
    "https://%31%32%37.0.0.1",
    "https://127%2e0%2e0%2e1",
    "https://127\uff0e0\uff0e0\uff0e1",
    "https://\u2460\u2461\u2466.0.0.1",
    "https://ex\u00e4mple.com",
    "https://api.openai.com:0",
    "https://api.openai.com:65536",
    "https://api.openai.com:099",
    "https://api.openai.com:22",
    "https://api.openai.com:",
    "https://api.openai.com/../x",
    "https://api.openai.com//x",
    "https://api.openai.com/%2e%2e/x",
    "https://-a.example.com",
    "https://a-.example.com",
    "https://a..example.com",
    "http://api.openai.com",
    "ftp://api.openai.com",
    "file:///etc/passwd",
    "gopher://127.0.0.1",
    "javascript:alert(1)",
    "//api.openai.com",
    "api.openai.com",
    "",
    "https://",
    "https://" + "a" * 600 + ".com",
    "HTTPS://api.openai.com",
]


@pytest.mark.parametrize("url", BAD)
def test_t01_no_spelling_of_an_inner_address_is_taken(url: str) -> None:
    with pytest.raises(BadRequest) as caught:
        checked(url, PUBLIC)
    assert caught.value.param == "base_url"
    with pytest.raises(BadRequest):
        checked(url, LOCAL)


def test_t01_there_are_enough_spellings() -> None:
    assert len(set(BAD)) >= 60


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com:443/v1/", "https://api.openai.com/v1"),
        ("https://my-team.openai.azure.com", "https://my-team.openai.azure.com"),
        ("https://llm.example.org:8443/x", "https://llm.example.org:8443/x"),
        ("https://8.8.8.8/v1", "https://8.8.8.8/v1"),
        ("https://xn--exmple-cua.com", "https://xn--exmple-cua.com"),
    ],
)
def test_public_addresses_are_taken_in_their_normal_spelling(url: str, normal: str) -> None:
    assert checked(url, PUBLIC).url == normal


def test_local_kinds_have_a_list_of_their_own() -> None:
    assert checked("http://127.0.0.1:11434/v1", LOCAL).host == "127.0.0.1"
    assert checked("http://gpu-box:8000", LOCAL).port == 8000
    for url in (
        "http://127.0.0.1:22",
        "http://127.0.0.1:11435",
        "http://10.0.0.1:11434",
        "https://api.openai.com",
    ):
        with pytest.raises(BadRequest):
            checked(url, LOCAL)


def test_t01_metadata_is_refused_even_where_an_operator_lists_it() -> None:
    rules = Rules(local=True, servers=frozenset({"169.254.169.254:80"}))
    with pytest.raises(BadRequest):
        checked("http://169.254.169.254", rules)
    assert refusal(["169.254.169.254"], local=True) is not None
    assert refusal(["fd00:ec2::254"], local=True) is not None
    assert refusal(["::ffff:169.254.169.254"], local=True) is not None
    assert refusal(["64:ff9b::a9fe:a9fe"], local=True) is not None


def test_t02_one_inner_address_among_public_ones_refuses_all() -> None:
    assert refusal(["93.184.216.34"], local=False) is None
    assert refusal(["93.184.216.34", "127.0.0.1"], local=False) is not None
    assert refusal(["fe80::1%eth0"], local=False) is not None
    assert refusal(["no address"], local=False) is not None


@given(st.integers(0, 2**32 - 1))
def test_t01_an_inner_ipv4_is_refused_in_every_wrapping(number: int) -> None:
    ip = ipaddress.IPv4Address(number)
    wrapped = [f"::ffff:{ip}", str(ipaddress.IPv6Address((0x64FF9B << 96) | number))]
    plain = why_not(ip, local=False)
    for text in wrapped:
        assert (why_not(ipaddress.ip_address(text), local=False) is None) == (plain is None)
    if not ip.is_global:
        assert plain is not None


@given(st.text(max_size=60))
def test_t01_no_text_makes_it_fail_otherwise(text: str) -> None:
    for url in (text, "https://" + text, "https://" + text + "/v1"):
        try:
            site = checked(url, PUBLIC)
        except BadRequest:
            continue
        assert site.host not in {"localhost", ""}
        assert checked(site.url, PUBLIC) == site  # the normal spelling is its own normal spelling
