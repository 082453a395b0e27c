"""The LaTeX of our own equations as MathML, which browsers draw by themselves, offline.

Only what these equations use is known; ``mathml`` returns None for anything else, and the LaTeX is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from diagnostics.export.page import escape

_TOKEN = re.compile(r"\\begin\{\w+\}|\\end\{\w+\}|\\\\(?:\[[^\]]*\])?|\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\s+|.")

_SIGNS: Mapping[str, str] = {
    "sum": "∑", "prod": "∏", "partial": "∂", "approx": "≈", "cdot": "·", "dots": "…", "ell": "ℓ", "in": "∈",
    "lVert": "‖", "rVert": "‖", "le": "≤", "ge": "≥", "leftarrow": "←", "mid": "|", "pm": "±", "sim": "∼",
    "times": "×", "odot": "⊙", "to": "→", "infty": "∞", "nabla": "∇",
}  # fmt: skip
_LETTERS: Mapping[str, str] = {
    "sigma": "σ", "tau": "τ", "theta": "θ", "lambda": "λ", "alpha": "α", "delta": "δ", "eta": "η", "phi": "φ",
    "tanh": "tanh", "ln": "ln", "log": "log", "exp": "exp", "min": "min", "max": "max",
}  # fmt: skip
_OVER: Mapping[str, str] = {"hat": "^", "overrightarrow": "→", "overleftarrow": "←", "vec": "→"}
_SPACES: Mapping[str, str] = {",": "0.17em", ";": "0.28em", "!": "0em", "quad": "1em", "qquad": "2em", " ": "0.3em"}
_UNSEEN = ("big", "Big", "bigg", "left", "right", "textstyle", "displaystyle")
"""Sizes, which MathML chooses by itself."""
_SCRIPT_LETTERS: Mapping[str, str] = {"L": "ℒ"}


def mathml(latex: str) -> str | None:
    """``latex`` as a MathML element; None where it has something that is not known here."""
    tokens = [token for token in _TOKEN.findall(latex) if not token.isspace()]
    reader = _Reader(tokens, latex)
    try:
        body = reader.row(lambda token: False)
    except (LookupError, ValueError):
        return None
    return f'<math display="block" alttext="{escape(latex)}">{body}</math>' if reader.at == len(tokens) else None


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[str], latex: str) -> None:
        self._tokens = tokens
        self._words = iter(re.findall(r"\\(?:text|operatorname)\{([^{}]*)\}", latex))
        self.at = 0

    def _next(self) -> str:
        self.at += 1
        return self._tokens[self.at - 1]

    def _peek(self) -> str:
        return self._tokens[self.at] if self.at < len(self._tokens) else ""

    def row(self, ends: Callable[[str], bool]) -> str:
        """Everything up to a token that ``ends``, which is left, or to the end."""
        parts = []
        while (token := self._peek()) and not ends(token):
            parts.append(self._scripted())
        return f"<mrow>{''.join(parts)}</mrow>"

    def _scripted(self) -> str:
        """An atom with its indices and powers."""
        limits = self._peek() in (r"\sum", r"\prod")
        base = self._atom()
        scripts: dict[str, str] = {}
        while self._peek() in ("_", "^"):
            sign = self._next()
            scripts[sign] = self._atom()
        if not scripts:
            return base
        below, above = scripts.get("_"), scripts.get("^")
        tags = ("munder", "mover", "munderover") if limits else ("msub", "msup", "msubsup")
        tag = tags[2] if below and above else tags[0] if below else tags[1]
        return f"<{tag}>{base}{below or ''}{above or ''}</{tag}>"

    def _atom(self) -> str:
        token = self._next()
        if token == "{":
            inside = self.row(lambda one: one == "}")
            self._next()
            return inside
        if token.startswith(r"\begin"):
            return self._table(token.replace("begin", "end"))
        if token.startswith("\\"):
            return self._command(token[1:])
        if token in ("}", "&", "_", "^"):
            raise ValueError(f"{token} must not stand here")
        kind = "mi" if token.isalpha() else "mn" if token[0].isdigit() else "mo"
        return f"<{kind}>{escape(token.replace('-', '−').replace(chr(39), '′'))}</{kind}>"

    def _command(self, name: str) -> str:
        if name in _SPACES:
            return f'<mspace width="{_SPACES[name]}"/>'
        if name in _UNSEEN:
            return ""
        if name in ("frac", "tfrac"):
            return f"<mfrac>{self._atom()}{self._atom()}</mfrac>"
        if name in ("text", "operatorname"):
            while self._next() != "}":
                pass
            tag = "mtext" if name == "text" else "mi"
            return f"<{tag}>{escape(next(self._words, ''))}</{tag}>"
        if name == "mathcal":
            self._next(), self._next()
            letter = self._tokens[self.at - 1]
            self._next()
            return f"<mi>{_SCRIPT_LETTERS[letter]}</mi>"
        if name in _OVER:
            return f'<mover accent="true">{self._atom()}<mo>{_OVER[name]}</mo></mover>'
        if name in _LETTERS:
            return f"<mi>{_LETTERS[name]}</mi>"
        return f"<mo>{_SIGNS[name]}</mo>"

    def _table(self, end: str) -> str:
        """The lines of an environment, each cut at ``&`` into cells that stand one under the other."""
        rows: list[list[str]] = [[]]
        while self._peek() != end:
            if not self._peek():
                raise ValueError(f"{end} is missing")
            rows[-1].append(self.row(lambda one: one in ("&", end) or one.startswith("\\\\")))
            if self._peek() == "&":
                self._next()
            elif self._peek().startswith("\\\\"):
                self._next()
                rows.append([])
        self._next()
        widest = max(map(len, rows))
        lines = "".join(
            "<mtr>" + "".join(_cell(cell, i, widest) for i, cell in enumerate(row)) + "</mtr>" for row in rows
        )
        return f'<mtable displaystyle="true">{lines}</mtable>'


def _cell(inside: str, place: int, cells: int) -> str:
    """A cell of a line: alone in the middle, else in pairs that meet, each next pair at some distance."""
    before = "2em" if place and place % 2 == 0 else "0"
    side = "left" if place % 2 else "right"
    # Chromium takes what is in a cell for a block, which only its own word moves; others do not know that word.
    align = f"; text-align: {side}; text-align: -webkit-{side}" if cells > 1 else ""
    return f'<mtd style="padding: 0.2em 0 0.2em {before}{align}">{inside}</mtd>'
