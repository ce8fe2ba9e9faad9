"""Sealing: what was sealed opens at its place, and nothing else opens anywhere."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmcore.gateway.vault import Place, SealBroken, Sealed, Sealer
from llmcore.gateway.vault.derive import derive, key_id_of
from llmcore.gateway.vault.seal import NONCE_BYTES, VERSION
from llmcore.secret import Secret

KEY, OTHER = b"k" * 32, b"o" * 32
NAMES = ("table", "row", "tenant", "field", "origin")

texts = st.text(max_size=40)
places = st.builds(Place, texts, texts, texts, texts, texts)
secrets = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(places, secrets)
def test_what_is_sealed_opens(place: Place, secret: str) -> None:
    sealer = Sealer(KEY, "credentials")
    sealed = sealer.seal(place, Secret(secret))
    assert sealer.open(place, sealed).reveal() == secret
    assert sealed.key_id == key_id_of(KEY)
    assert len(secret) < 4 or secret not in sealed.text


@given(places, secrets, st.data())
def test_t13_any_flipped_bit_breaks_it(place: Place, secret: str, data: st.DataObject) -> None:
    sealer = Sealer(KEY, "credentials")
    sealed = sealer.seal(place, Secret(secret))
    raw = bytearray(urlsafe_b64decode(sealed.text.removeprefix(VERSION)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    text = VERSION + urlsafe_b64encode(raw).decode()
    with pytest.raises(SealBroken):
        sealer.open(place, evolve(sealed, text=text))


@given(places, secrets, st.data())
def test_t13_any_other_text_breaks_it(place: Place, secret: str, data: st.DataObject) -> None:
    sealer = Sealer(KEY, "credentials")
    sealed = sealer.seal(place, Secret(secret))
    at = data.draw(st.integers(0, len(sealed.text) - 1))
    other = data.draw(st.characters().filter(lambda char: char != sealed.text[at]))
    for text in (
        sealed.text[:at] + other + sealed.text[at + 1 :],
        sealed.text[:at] + sealed.text[at + 1 :],
        sealed.text[:at] + other + sealed.text[at:],
        sealed.text[:at],
    ):
        with pytest.raises(SealBroken):
            sealer.open(place, evolve(sealed, text=text))


@given(places, places, secrets)
def test_t13_t14_it_opens_nowhere_else(place: Place, other: Place, secret: str) -> None:
    sealer = Sealer(KEY, "credentials")
    sealed = sealer.seal(place, Secret(secret))
    for name in NAMES:
        moved = evolve(place, **{name: getattr(other, name)})
        if moved != place:
            with pytest.raises(SealBroken):
                sealer.open(moved, sealed)


@given(st.text(min_size=1, max_size=10), st.text(max_size=10), st.integers(0, 3))
def test_t13_parts_of_a_place_do_not_run_together(text: str, rest: str, index: int) -> None:
    """`ab|c` and `a|bc` are two places."""
    first = dict.fromkeys(NAMES, "")
    second = dict(first)
    first[NAMES[index]], first[NAMES[index + 1]] = text + rest, ""
    second[NAMES[index]], second[NAMES[index + 1]] = rest, text
    one, two = Place(**first), Place(**second)
    assert one.associated("k") != two.associated("k")


def test_t13_two_rows_cannot_be_swapped() -> None:
    sealer = Sealer(KEY, "credentials")
    ann, bob = (Place("llm_settings", name, name, "sealed_key") for name in ("ann", "bob"))
    of_ann, of_bob = (sealer.seal(place, Secret("x")) for place in (ann, bob))
    for place, sealed in ((ann, of_bob), (bob, of_ann)):
        with pytest.raises(SealBroken) as caught:
            sealer.open(place, sealed)
        assert sealed.text not in str(caught.value)


def test_t13_another_key_purpose_or_key_id_opens_nothing() -> None:
    place = Place("t", "r", "u", "f")
    sealed = Sealer(KEY, "credentials").seal(place, Secret("x"))
    for sealer in (Sealer(OTHER, "credentials"), Sealer(KEY, "sessions")):
        with pytest.raises(SealBroken):
            sealer.open(place, sealed)
    with pytest.raises(SealBroken):
        Sealer(KEY, "credentials").open(place, Sealed(sealed.text, "another"))


@pytest.mark.slow
def test_t13_no_nonce_comes_twice() -> None:
    sealer, place = Sealer(KEY, "credentials"), Place("t", "r", "u", "f")
    secret, count = Secret("x"), 1_000_000
    seen = {sealer.seal(place, secret).text[: len(VERSION) + NONCE_BYTES * 4 // 3] for _ in range(count)}
    assert len(seen) == count


def test_nonces_come_from_the_entropy_that_was_handed_in() -> None:
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return bytes([len(asked)]) * count

    sealer, place = Sealer(KEY, "credentials", entropy), Place("t", "r", "u", "f")
    texts = [sealer.seal(place, Secret("x")).text for _ in range(3)]
    assert asked == [12, 12, 12]
    nonces = [urlsafe_b64decode(text.removeprefix(VERSION))[:12] for text in texts]
    assert nonces == [bytes([number]) * 12 for number in (1, 2, 3)]


def test_sub_keys_differ_by_purpose_and_say_nothing() -> None:
    found = {derive(KEY, purpose) for purpose in ("a", "b", "seal a", "key id")}
    assert len(found) == 4
    assert KEY not in found
    assert key_id_of(KEY) != key_id_of(OTHER)


def test_t05_nothing_shows_a_key_or_ciphertext() -> None:
    sealer = Sealer(KEY, "credentials")
    sealed = sealer.seal(Place("t", "r", "u", "f"), Secret("canary-secret"))
    for shown in (repr(sealer), repr(sealed)):
        assert "canary" not in shown
        assert "kkkk" not in shown
        assert sealed.text not in shown
