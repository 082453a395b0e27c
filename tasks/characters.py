"""A person's text as a sequence of characters: read from bytes, checked, and each character named so that it shows."""

from __future__ import annotations

import codecs
import unicodedata
from functools import lru_cache

MOST_CHARACTERS = 20_000
MOST_DIFFERENT = 256
LEAST_DIFFERENT = 2
LINE, TAB = "\n", "\t"

_SHOWN = {" ": "␣", LINE: "⏎", TAB: "⇥"}
_CONTROLS = {0: "null", 7: "bell", 8: "backspace", 11: "vertical tab", 12: "form feed", 27: "escape", 127: "delete"}
# The longer mark first: UTF-32's begins as UTF-16's does.
_MARKS = ((codecs.BOM_UTF32_LE, ""), (codecs.BOM_UTF32_BE, ""), (codecs.BOM_UTF8, "utf-8-sig"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_WANTED = "the file must be text in UTF-8, or in UTF-16 with its byte order mark"


def decode(data: bytes) -> str:
    """The text of a file: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises ``ValueError`` with one sentence where it is anything else.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    if not encoding:
        raise ValueError(f"{_WANTED}, but it is marked as UTF-32")
    if encoding == "utf-8" and b"\0" in data:
        raise ValueError(f"{_WANTED}, but it holds zero bytes: it is another kind of file, or UTF-16 without its mark")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise ValueError(f"{_WANTED}, but its UTF-16 breaks off or is damaged at byte {error.start + 1}") from None
        raise ValueError(
            f"{_WANTED}, but byte {error.start + 1} is 0x{data[error.start]:02X}, which is neither"
        ) from None


def checked(text: object) -> str:
    """``text`` as a run holds it: without a byte order mark at its beginning, every line ending a line feed.

    Raises ``ValueError`` with one sentence where it is no text, too long, of too few or too many different
    characters, or holds a character that no page can show: control characters other than line feed and tab, and
    halves of a pair.
    """
    if not isinstance(text, str):
        raise ValueError(f"text must be text, but got {text!r:.60}")
    return _plain(text)


@lru_cache(maxsize=16)
def _plain(text: str) -> str:
    """A page checks the same text at every look, and many runs have the same."""
    plain = text.removeprefix("\ufeff").replace("\r\n", LINE).replace("\r", LINE)
    if len(plain) > MOST_CHARACTERS:
        raise ValueError(f"text must have at most {MOST_CHARACTERS:,} characters, but got {len(plain):,}")
    for place, character in enumerate(plain):
        if unicodedata.category(character) in ("Cc", "Cs") and character not in (LINE, TAB):
            raise ValueError(f"text must be without {_control(character)}, but got it as character {place + 1}")
    different = len(set(plain))
    if different < LEAST_DIFFERENT:
        got = f"only {named(plain[0])}" if plain else "an empty text"
        raise ValueError(f"text must have at least {LEAST_DIFFERENT} different characters, but got {got}")
    if different > MOST_DIFFERENT:
        raise ValueError(f"text must have at most {MOST_DIFFERENT} different characters, but got {different:,}")
    return plain


def alphabet(text: str) -> tuple[str, ...]:
    """The different characters of a text, in the order in which they first come."""
    return tuple(dict.fromkeys(text))


def named(character: str) -> str:
    """A character as it shows: itself, a sign for what is blank, its number for what has no look of its own."""
    if character in _SHOWN:
        return _SHOWN[character]
    category = unicodedata.category(character)
    if category[0] == "M":
        return f"◌{character}"
    return f"U+{ord(character):04X}" if category[0] in "CZ" else character


def _control(character: str) -> str:
    number = ord(character)
    kind = "halves of a surrogate pair" if unicodedata.category(character) == "Cs" else "control characters"
    return f"{kind} such as U+{number:04X}" + (f" ({_CONTROLS[number]})" if number in _CONTROLS else "")
