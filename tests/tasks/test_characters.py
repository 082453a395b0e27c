from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.characters import MOST_CHARACTERS, alphabet, checked, decode, named

SAID = "Grüß Gott, 世界 🙂\n"


@pytest.mark.parametrize(
    "data",
    [
        SAID.encode(),
        codecs.BOM_UTF8 + SAID.encode(),
        codecs.BOM_UTF16_LE + SAID.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + SAID.encode("utf-16-be"),
    ],
)
def test_a_file_is_read_in_its_encoding(data: bytes) -> None:
    assert decode(data) == SAID


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("Grüß".encode("latin-1"), "byte 3 is 0xFC"),
        (SAID.encode("utf-16-le"), "zero bytes"),
        (b"\x89PNG\r\n\x1a\n\0\0", "zero bytes"),
        (codecs.BOM_UTF32_LE + SAID.encode("utf-32-le"), "UTF-32"),
        (codecs.BOM_UTF32_BE + SAID.encode("utf-32-be"), "UTF-32"),
        (codecs.BOM_UTF16_LE + b"a", "UTF-16 breaks off"),
    ],
)
def test_another_file_is_refused_in_one_sentence(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        decode(data)
    assert str(caught.value).startswith("the file must be text in UTF-8")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_are_a_traceback(data: bytes) -> None:
    said = ""
    try:
        decode(data)
    except ValueError as error:
        said = str(error)
    assert not said or said.startswith("the file must be text")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (5, "text must be text, but got 5"),
        (None, "text must be text, but got None"),
        ("", "at least 2 different characters, but got an empty text"),
        ("aaaa", "at least 2 different characters, but got only a"),
        ("  ", "but got only ␣"),
        ("ab\x07c", r"U\+0007 \(bell\), but got it as character 3"),
        ("ab\x00", r"U\+0000 \(null\)"),
        ("ab\x7f", r"U\+007F \(delete\)"),
        ("ab\x85", r"U\+0085"),
        ("ab\ud800", r"surrogate pair such as U\+D800"),
        ("ab" * (MOST_CHARACTERS // 2) + "c", "at most 20,000 characters, but got 20,001"),
        ("".join(chr(0x4E00 + i) for i in range(300)), "at most 256 different characters, but got 300"),
    ],
)
def test_absurd_text_is_refused_in_one_sentence(text: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(text)


def test_what_is_kept_of_a_text() -> None:
    assert checked("\ufeffa\r\nb\rc\td") == "a\nb\nc\td"
    assert checked("ab" * (MOST_CHARACTERS // 2)) == "ab" * (MOST_CHARACTERS // 2)
    assert alphabet("hello") == ("h", "e", "l", "o")


def test_every_character_shows() -> None:
    assert [named(c) for c in ("l", " ", "\n", "\t", "\u0301", "\u200d", "\u00a0", "🙂")] == [
        "l", "␣", "⏎", "⇥", "◌\u0301", "U+200D", "U+00A0", "🙂",
    ]  # fmt: skip
