"""Words on the page: the one place where a name that somebody gave is made safe to show, and numbers are said."""

from __future__ import annotations

import html
import math
import re

from diagnostics.measures import numbers

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|$~:^&\"'])")


def shown(text: str) -> str:
    """``text`` without what no page can carry: lone surrogates and control characters, line breaks included."""
    return "".join(c if c.isprintable() else " " for c in text.encode("utf-8", "replace").decode("utf-8"))


def markdown(text: str) -> str:
    """``text`` as Markdown that reads as the text itself: nothing in it becomes a link, an icon or a formula."""
    return _MARKDOWN.sub(r"\\\1", shown(text))


def markup(text: str) -> str:
    """``text`` as HTML that reads as the text itself."""
    return html.escape(shown(text), quote=True)


def filename(text: str) -> str:
    """``text`` as a file name that every system takes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", shown(text)).strip("-.")[:80] or "gradreach"


def percent(share: float) -> str:
    """A share of 0 to 1 in per cent, as the sentences say it; a dash where there is none."""
    return numbers.percent(share) if math.isfinite(share) else "–"


def number(value: float, digits: int = 2) -> str:
    """A number in a few digits, as the sentences say it; a dash where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return numbers.number(value, digits)


def left(seconds: float | None) -> str:
    """How long something will still take, as a person says it; empty where nobody knows."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 1:
        return "a moment left"
    if seconds < 90:
        return f"{seconds:.0f} s left"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min left"
    return f"{seconds / 3600:.1f} h left"


def listed(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
