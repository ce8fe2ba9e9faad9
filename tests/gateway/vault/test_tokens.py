"""Tokens: random, checked by shape first, proved by a keyed hash in constant time."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.vault import Tokens, looks_opaque, public_id_of
from llmcore.gateway.vault import tokens as module
from llmcore.gateway.vault.tokens import PURPOSES
from llmcore.secret import redact

PEPPER = b"p" * 32
entropies = st.binary(min_size=32, max_size=32).map(lambda raw: lambda count: raw[:count])


@given(st.binary(min_size=32, max_size=32))
def test_a_key_has_the_shape_that_was_promised(raw: bytes) -> None:
    made = Tokens(PEPPER, lambda count: raw[:count]).new_virtual_key()
    token = made.token.reveal()
    prefix, public_id, rest = token.split("-")
    assert (prefix, len(public_id), len(rest)) == ("llmc", 16, 49)
    assert public_id == made.public_id == public_id_of(token)
    assert token.isascii()
    assert public_id + rest == "".join(filter(str.isalnum, public_id + rest))
    assert looks_opaque(token) is False


@given(st.data())
def test_a_key_with_one_wrong_character_is_none(data: st.DataObject) -> None:
    token = Tokens(PEPPER).new_virtual_key().token.reveal()
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("0aZ-_ \0é").filter(lambda char: char != token[at]))
    assert public_id_of(token[:at] + other + token[at + 1 :]) is None
    assert public_id_of(token[:at] + token[at + 1 :]) is None
    assert public_id_of(token + other) is None


@given(st.text(max_size=100))
def test_t06_whatever_comes_is_only_looked_at(text: str) -> None:
    tokens = Tokens(PEPPER)
    assert public_id_of(text) is None
    assert not looks_opaque(text)
    assert not tokens.matches("virtual key", text, tokens.new_virtual_key().digest)
    assert len(tokens.digest("web session", text)) == 64


def test_no_two_tokens_are_alike() -> None:
    tokens = Tokens(PEPPER)
    made = [tokens.new_virtual_key() for _ in range(2000)]
    assert len({one.token for one in made}) == len({one.public_id for one in made}) == 2000
    opaque = [tokens.new_session_id(), tokens.new_one_time_token()]
    assert [one.token.reveal()[:6] for one in opaque] == ["llmcs-", "llmco-"]
    assert all(looks_opaque(one.token.reveal()) for one in opaque)


@given(st.text(max_size=80))
def test_t06_a_hash_for_one_purpose_proves_nothing_for_another(text: str) -> None:
    tokens, others = Tokens(PEPPER), Tokens(b"q" * 32)
    digests = {purpose: tokens.digest(purpose, text) for purpose in PURPOSES}
    assert len(set(digests.values())) == len(PURPOSES)
    for purpose, digest in digests.items():
        assert tokens.matches(purpose, text, digest)
        assert not others.matches(purpose, text, digest)
        assert (
            text == "" or digest != hmac.digest(PEPPER, text.encode("utf-8", "surrogatepass"), "sha256").hex()
        )


def test_t06_digests_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac_compare(one, other)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    tokens = Tokens(PEPPER)
    made = tokens.new_virtual_key()
    assert tokens.matches("virtual key", made.token.reveal(), made.digest)
    assert tokens.csrf_matches("s", "n", tokens.csrf("s", "n"))
    assert [(len(one), len(other)) for one, other in compared] == [(64, 64), (64, 64)]


def test_t07_a_form_token_belongs_to_one_session() -> None:
    tokens = Tokens(PEPPER)
    nonce = tokens.new_nonce()
    token = tokens.csrf("session", nonce)
    assert tokens.csrf_matches("session", nonce, token)
    for session, other, said in (
        ("other", nonce, token),
        ("session", tokens.new_nonce(), token),
        ("session", nonce, token[:-1]),
        ("session", nonce, "é\ud800"),
        ("session" + nonce[:1], nonce[1:], token),
    ):
        assert not tokens.csrf_matches(session, other, said)


def test_t05_tokens_are_masked_wherever_they_show() -> None:
    tokens = Tokens(PEPPER)
    key, session, once = tokens.new_virtual_key(), tokens.new_session_id(), tokens.new_one_time_token()
    for made in (key, session, once):
        assert made.token.reveal() not in repr(made)
        assert made.digest not in repr(made)
        secret = made.token.reveal().rpartition("-")[2]
        assert secret not in redact(f"upstream said: bad key {made.token.reveal()}!")
    assert "pppp" not in repr(tokens)
