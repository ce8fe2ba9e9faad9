"""A secret never shows, however it is looked at."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import string
import traceback
from urllib.parse import quote, quote_plus

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import ProviderConfig
from llmcore.secret import Redactor, Secret, header_secrets, redact

KEY = "sk-proj-abcdefghijklmnop1234567890"


@given(st.text(min_size=6).filter(lambda value: value not in "Secret('***')"))
def test_no_view_shows_it(value: str) -> None:
    secret = Secret(value)
    views = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret}",
        repr([secret]),
        repr({"k": secret}),
    ]
    assert not any(value in view for view in views)
    assert secret.reveal() == value


def test_it_is_neither_pickled_nor_put_into_json() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(KEY))
    with pytest.raises(TypeError):
        json.dumps({"key": Secret(KEY)})
    with pytest.raises(TypeError):
        copy.deepcopy(Secret(KEY))


def test_a_config_and_its_traceback_do_not_show_it() -> None:
    config = ProviderConfig("a", "openai", api_key=KEY)
    assert KEY not in repr(config)
    assert KEY not in str(attrs.asdict(config, recurse=False))
    try:
        raise ValueError(config)
    except ValueError:
        assert KEY not in traceback.format_exc()


def test_equality_and_truth_work_without_showing() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert not Secret("")
    assert len({Secret("a"), Secret("a")}) == 1


@given(before=st.text(), after=st.text(), key=st.text(min_size=4).filter(lambda value: value not in "***"))
def test_redaction_leaves_no_registered_secret(before: str, after: str, key: str) -> None:
    assert key not in redact(f"{before}{key}{after}", Secret(key)).replace("***", "")


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}.",
        "Bearer abcdef0123456789",
        "AIzaSyA1234567890abcdefghijklmn",
        "gsk_abcdefghijkl1234",
        "hf_abcdefghijklmnop",
    ],
)
def test_what_looks_like_a_key_is_masked_unasked(text: str) -> None:
    assert "***" in redact(text)
    assert "abcdef" not in redact(text)


def test_ordinary_words_stay() -> None:
    text = "The risk-averse model gpt-4o-mini is not available for key accounts"
    assert redact(text) == text


def test_a_placeholder_of_a_key_garbles_no_text() -> None:
    assert redact("the token cannot be used", Secret("k"), Secret("no")) == "the token cannot be used"


ODD = 'pa$s/w+o"rd=1234'


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        ODD,
        quote(ODD, safe=""),
        quote(ODD),
        quote(ODD, safe="").lower(),
        quote_plus(ODD),
        json.dumps(ODD)[1:-1],
        json.dumps(ODD)[1:-1].replace("/", "\\/"),
        base64.b64encode(ODD.encode()).decode(),
        base64.urlsafe_b64encode(b"\xff" + KEY.encode()).decode(),
        base64.b64encode(KEY.encode()).decode().rstrip("="),
        base64.b64encode(f"user:{KEY}".encode()).decode(),
        base64.b64encode(f"ab:{KEY}:c".encode()).decode(),
    ],
)
def test_every_form_of_a_secret_is_masked(form: str) -> None:
    text = redact(f"at https://h/?key={form}&x=1", Secret(KEY), ODD)
    assert "***" in text
    assert form not in text
    for offset in range(len(form) - 11):
        assert form[offset : offset + 12] not in text
    assert text.startswith("at https://h/?key=")
    assert text.endswith("&x=1")


@given(
    before=st.binary(max_size=7), after=st.binary(max_size=7), key=st.text(string.ascii_letters, min_size=12)
)
def test_no_base64_of_a_longer_text_holds_a_secret(before: bytes, after: bytes, key: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = redact(encode(before + key.encode() + after).decode(), key)
        middle = encode(bytes(len(before) % 3) + key.encode()).decode()[4:-4]
        assert middle not in text


@given(st.lists(st.text(string.ascii_letters, min_size=4, max_size=9), min_size=2, max_size=4))
def test_of_secrets_inside_each_other_none_is_left(keys: list[str]) -> None:
    text = redact(" ".join(keys), *keys)
    assert not any(key in text for key in keys)


def test_of_a_key_that_begins_like_another_no_rest_is_left() -> None:
    assert redact("you sent team-key-and-tail", "team-key", "team-key-and-tail") == "you sent ***"


def test_a_redactor_does_not_show_what_it_masks() -> None:
    redactor = Redactor([Secret(KEY), None, "", "abc"])
    assert KEY not in repr(redactor)
    assert redactor(f"abc {KEY}") == "abc ***"


@pytest.mark.parametrize(
    ("name", "value", "shown", "masked"),
    [
        ("Authorization", "Bearer s3cr3t-s3cr3t", "Bearer", "s3cr3t-s3cr3t"),
        ("X-API-Key", "s3cr3t", None, "s3cr3t"),
        ("api-key", "s3cr3t", None, "s3cr3t"),
        ("cookie", "a=1; session=abcdefgh1234; b=2", None, "abcdefgh1234"),
        ("X-Team-Token", "s3cr3t", None, "s3cr3t"),
        ("client-secret", "s3cr3t", None, "s3cr3t"),
        ("Proxy-Auth", "s3cr3t", None, "s3cr3t"),
        ("X-Team", "research", "research", None),
        ("Accept", "application/json", "application/json", None),
    ],
)
def test_what_is_secret_among_headers(name: str, value: str, shown: str | None, masked: str | None) -> None:
    text = redact(f"you sent {value} and {masked or ''}", *header_secrets({name: value}))
    assert masked is None or masked not in text
    assert shown is None or shown in redact(f"we read {shown}", *header_secrets({name: value}))
