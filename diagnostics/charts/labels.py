"""Text that goes into figures: people's names made safe and short, words measured, lines broken."""

from __future__ import annotations

from collections.abc import Sequence
from html import unescape

from diagnostics.records import Run

NAME_LENGTH = 44


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
    """Return a short, safe label per run, no two alike: runs that would read the same carry their id as well."""
    names = [short(run.name.strip() or run.id, length) for run in runs]
    return tuple(
        safe(name if names.count(name) == 1 else f"{name} ({run.id})") for name, run in zip(names, runs, strict=True)
    )


_NARROW = set("iljtfr.,:;'!|()[]·“”‘’ I1")
_WIDE = set("mwMWOQ@%—…_GDCHNUAV")


def text_width(text: str) -> float:
    """Return about how wide text is in a sans-serif face, in average characters: enough to lay out words."""
    return sum(0.6 if c in _NARROW else 1.32 if c in _WIDE else 1.0 for c in text)


def wrap(text: str, width: float) -> str:
    """Break plain text into lines of at most ``width`` average characters, joined by ``<br>``."""
    lines: list[str] = []
    current = ""
    for word in text.split(" "):
        longer = f"{current} {word}" if current else word
        if current and text_width(longer) > width:
            lines.append(current)
            current = word
        else:
            current = longer
    return "<br>".join([*lines, current])


def spoken(parts: Sequence[str]) -> str:
    """Join what a figure says of each run into plain sentences: accessible names are read as text, not as HTML."""
    return " ".join(unescape(part).rstrip(".") + "." for part in parts)
