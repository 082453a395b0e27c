"""Text that goes into figures: people's names made safe and short, words measured, lines broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any

from diagnostics.records import Run

NAME_LENGTH = 44
_VALUE_LENGTH = 16


def safe(text: str) -> str:
    """Return text as it may stand in a figure, where Plotly reads a subset of HTML.

    Names come from people and tokens from tasks: markup in them is shown as it was typed, and what cannot be encoded
    (a lone surrogate) or would break a line becomes a replacement character or a space.
    """
    encodable = text.encode("utf-8", "replace").decode("utf-8")
    printable = "".join(c if c.isprintable() else " " for c in encodable)
    return printable.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def short(text: str, length: int = NAME_LENGTH) -> str:
    """Return text of at most ``length`` characters: its two ends, where what differs between names stands."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return text[: length - 1 - tail].rstrip() + "…" + text[len(text) - tail :].lstrip()


def run_labels(runs: Sequence[Run], length: int = NAME_LENGTH) -> tuple[str, ...]:
    """Return a short, safe label per run, no two alike.

    Runs that would read the same carry what sets their specs apart as well, and their id where nothing does.
    """
    names = [short(run.name.strip() or run.id, length) for run in runs]
    told = list(names)
    for name in set(names):
        alike = [i for i, other in enumerate(names) if other == name]
        if len(alike) > 1:
            for i, words in zip(alike, _apart([runs[i].spec for i in alike]), strict=True):
                told[i] = " · ".join([name, *words])
    return tuple(
        safe(label if told.count(label) == 1 else f"{label} ({run.id})") for label, run in zip(told, runs, strict=True)
    )


def _apart(specs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return per spec the values that tell it from the others, from as few of their fields as it takes."""
    found: list[list[str]] = [[] for _ in specs]
    for key in dict.fromkeys(key for spec in specs for key in spec):
        more = [[*words, _said(key, spec.get(key))] for words, spec in zip(found, specs, strict=True)]
        if len({tuple(words) for words in more}) > len({tuple(words) for words in found}):
            found = more
    return found


def _said(key: str, value: Any) -> str:
    words = f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
    return f"{key.replace('_', ' ')} {short(words.replace(':', ' '), _VALUE_LENGTH)}"


_NARROW = set("iljtfr.,:;'!|()[]·“”‘’ I1")
_WIDE = set("mwMWOQ@%—…_GDCHNUAV")


def text_width(text: str) -> float:
    """Return about how wide text is in a sans-serif face, in average characters: enough to lay out words."""
    return sum(0.6 if c in _NARROW else 1.32 if c in _WIDE else 1.0 for c in text)


def wrap(text: str, width: float) -> str:
    """Break text into lines of at most ``width`` average characters, joined by ``<br>``; markup takes no room."""
    lines: list[str] = []
    current = ""
    for word in text.split(" "):
        longer = f"{current} {word}" if current else word
        if current and text_width(plain(longer)) > width:
            lines.append(current)
            current = word
        else:
            current = longer
    return "<br>".join([*lines, current])


def plain(text: str) -> str:
    """Return a figure's own words without the markup of indices, powers and names."""
    for markup in ("<sub>", "</sub>", "</sup>", "<b>", "</b>"):
        text = text.replace(markup, "")
    return text.replace("<sup>", "^")


def spoken(parts: Sequence[str]) -> str:
    """Join what a figure says of each run into plain sentences: accessible names are read as text, not as HTML."""
    return " ".join(unescape(part).rstrip(".") + "." for part in parts)
