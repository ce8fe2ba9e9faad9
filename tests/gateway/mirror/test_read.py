"""Strict readers: the value, None where there is none, or a sentence with the path of the fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmcore.gateway.errors import BadRequest
from llmcore.gateway.mirror import read
from llmcore.gateway.mirror.media import file_of, image_address, sound_of
from llmcore.types import Audio, File

BODY: dict[str, Any] = {
    "s": "x", "b": True, "i": 3, "f": 0.5, "o": {"a": 1}, "l": [{"a": 1}, {"a": 2}], "t": ["a", "b"], "null": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "key", "value"),
    [
        (read.string, "s", "x"),
        (read.boolean, "b", True),
        (read.integer, "i", 3),
        (read.number, "i", 3),
        (read.number, "f", 0.5),
        (read.obj, "o", {"a": 1}),
        (read.items, "t", ["a", "b"]),
        (read.strings, "t", ("a", "b")),
        (read.strings, "s", ("x",)),
        (read.need_string, "s", "x"),
        (read.need_obj, "o", {"a": 1}),
        (read.need_integer, "i", 3),
        (read.need_items, "t", ["a", "b"]),
    ],
)
def test_what_is_right_is_given(reader: Callable[..., object], key: str, value: object) -> None:
    assert reader(BODY, key) == value


OPTIONAL = [read.string, read.boolean, read.integer, read.number, read.obj, read.items, read.strings]


@pytest.mark.parametrize("reader", OPTIONAL, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("key", ["null", "absent"])
def test_null_and_absent_are_nothing(reader: Callable[..., object], key: str) -> None:
    assert reader(BODY, key) is None


@pytest.mark.parametrize(
    ("reader", "key", "sentence"),
    [
        (read.string, "i", "must be a string, not a number"),
        (read.string, "o", "must be a string, not an object"),
        (read.boolean, "i", "must be true or false, not a number"),
        (read.boolean, "s", "must be true or false, not a string"),
        (read.integer, "b", "must be a whole number, not a boolean"),
        (read.integer, "f", "must be a whole number, not 0.5"),
        (read.number, "b", "must be a number, not a boolean"),
        (read.obj, "l", "must be an object, not a list"),
        (read.items, "s", "must be a list, not a string"),
        (read.strings, "i", "must be a string or a list of strings, not a number"),
        (read.need_string, "null", "is required and missing"),
        (read.need_string, "i", "must be a string, not a number"),
        (read.need_obj, "absent", "is required and missing"),
        (read.need_integer, "absent", "is required and missing"),
        (read.need_items, "absent", "is required and missing"),
    ],
)
def test_what_is_wrong_is_named(reader: Callable[..., object], key: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        reader(BODY, key, "tools[2]")
    assert caught.value.param == f"tools[2].{key}"
    assert caught.value.message == f"tools[2].{key}: {sentence}"


def test_bounds_are_told() -> None:
    for low, high, bound in ((4, None, "at least 4"), (None, 2, "at most 2"), (4, 9, "from 4 to 9")):
        with pytest.raises(BadRequest, match=f"must be {bound}, not 3"):
            read.integer(BODY, "i", low=low, high=high)
    assert read.integer(BODY, "i", low=3, high=3) == 3


def test_words_and_lists_are_checked_one_by_one() -> None:
    assert read.word(BODY, "s", ("x", "y")) == "x"
    assert read.word(BODY, "null", ("x", "y")) is None
    with pytest.raises(BadRequest, match=r"s: 'x' is not one of a, b"):
        read.word(BODY, "s", ("a", "b"))
    assert list(read.objects(BODY, "l")) == [("l[0]", {"a": 1}), ("l[1]", {"a": 2})]
    with pytest.raises(BadRequest, match=r"t\[0\]: must be an object"):
        list(read.objects(BODY, "t"))
    with pytest.raises(BadRequest, match=r"l\[0\]: must be a string"):
        read.strings(BODY, "l")
    with pytest.raises(BadRequest, match="t: holds 2 items; at most 1 are taken"):
        read.items(BODY, "t", most=1)


def test_paths() -> None:
    assert read.path("", "a") == "a"
    assert read.path("a", "b") == "a.b"
    assert read.path("a", 3) == "a[3]"


def test_base64_and_data_uris_are_strict() -> None:
    assert read.data_uri("data:text/plain;charset=utf-8;base64,QUI=", "p") == (
        "text/plain;charset=utf-8",
        b"AB",
    )
    for bad in (
        "data:text/plain,AB",
        "text/plain;base64,QUI=",
        "data:;base64",
        "data:x;base64,Q*I=",
        "data:x;base64,QU",
    ):
        with pytest.raises(BadRequest) as caught:
            read.data_uri(bad, "p")
        assert caught.value.param == "p"


# --------------------------------------------------------------------------------------------------------- media


@pytest.mark.parametrize(
    "url", ["https://a/b.png", "HTTP://a/b", "data:image/png;base64,AA", "DATA:image/png,x"]
)
def test_addresses_of_pictures_are_kept(url: str) -> None:
    assert image_address(url, "p") == url


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "/etc/passwd", "", "ftp://a/b", "javascript:x", 5, None]
)
def test_t18_other_addresses_of_pictures_are_refused(url: object) -> None:
    with pytest.raises(BadRequest) as caught:
        image_address(url, "p")
    assert caught.value.param == "p"


def test_files_come_by_data_address_or_plain_base64() -> None:
    assert file_of("data:application/pdf;base64,QUI=", "a.pdf", "p") == File(
        b"AB", media_type="application/pdf", filename="a.pdf"
    )
    assert file_of("https://a/b.pdf", None, "p") == File(url="https://a/b.pdf")
    assert file_of("QUI=", "a.pdf", "p") == File(b"AB", media_type="application/pdf", filename="a.pdf")
    assert file_of("QUI=", None, "p") == File(b"AB")
    assert sound_of("QUI=", "mp3", "p") == Audio(b"AB", "audio/mpeg")
    with pytest.raises(BadRequest, match="p: is not valid base64"):
        file_of("file:///etc/passwd", None, "p")
