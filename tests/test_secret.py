"""A secret never shows, however it is looked at."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import ProviderConfig
from llmcore.secret import Secret, redact

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
