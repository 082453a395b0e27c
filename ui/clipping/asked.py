"""What the page is asked: kept while another page is shown, and in the address, so that a link opens it again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from diagnostics.measures.cliff import LONGEST, MOST_STEPS
from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST
from ui.address import quoted

RULES = {"norm": "by norm", "value": "by value"}
VIEWS = {"what-if": "What would it have done?", "sweep": "Threshold sweep", "cliff": "The cliff"}
_KEPT = "clipping-kept"


@dataclass(frozen=True)
class Asked:
    """One thing that is asked: a word of ``words``, or a number from ``least`` to ``most``."""

    usual: Any
    words: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf

    def parse(self, name: str, text: str) -> Any:
        """The value of ``text``; raises ``ValueError`` with the sentence that says what is wrong with it."""
        if self.words:
            if text not in self.words:
                raise ValueError(f"{name} must be one of {', '.join(self.words)}, but got {quoted(text)}")
            return text
        whole = isinstance(self.usual, int)
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not self.least <= number <= self.most or (whole and number != int(number)):
            kind = "a whole number" if whole else "a number"
            raise ValueError(f"{name} must be {kind} from {self.least:g} to {self.most:g}, but got {quoted(text)}")
        return int(number) if whole else number


ASKED: Mapping[str, Asked] = {
    "view": Asked("what-if", tuple(VIEWS)),
    "rule": Asked("norm", tuple(RULES)),
    "norm": Asked(1.0, least=THRESHOLD_LEAST, most=THRESHOLD_MOST),
    "value": Asked(0.01, least=THRESHOLD_LEAST, most=THRESHOLD_MOST),
    "w": Asked(5.0, least=-20.0, most=20.0),
    "b": Asked(-2.2, least=-20.0, most=20.0),
    "step_size": Asked(0.5, least=1e-6, most=1e3),
    "threshold": Asked(0.1, least=1e-6, most=1e6),
    "length": Asked(50, least=1, most=LONGEST),
    "updates": Asked(60, least=1, most=MOST_STEPS),
}
"""By the name that a query parameter has."""

_OF: Mapping[str, tuple[str, ...]] = {
    "what-if": ("rule", "norm", "value"),
    "sweep": (),
    "cliff": ("w", "b", "step_size", "threshold", "length", "updates"),
}
"""What the address says of each view."""


def key(name: str) -> str:
    """The key of the widget that asks for ``name``."""
    return f"clipping-{name}"


def fill() -> list[str]:
    """Give every widget that has none its value: as it was, else as the address asks; returns what made no sense."""
    said = []
    kept: dict[str, Any] | None = st.session_state.get(_KEPT)
    for name, asked in ASKED.items():
        if key(name) in st.session_state:
            continue
        value = asked.usual if kept is None else kept.get(name, asked.usual)
        if kept is None and name in st.query_params:
            try:
                value = asked.parse(name, st.query_params[name])
            except ValueError as error:
                said.append(f"In the address, {error}; it was left as usual.")
        st.session_state[key(name)] = value
    return said


def keep(view: str) -> None:
    """Remember what the widgets say, and write what concerns the view into the address."""
    now = {name: st.session_state[key(name)] for name in ASKED}
    st.session_state[_KEPT] = now
    wanted = {
        name: f"{now[name]:g}" if isinstance(now[name], float) else str(now[name]) for name in ("view", *_OF[view])
    }
    wanted = {name: text for name, text in wanted.items() if now[name] != ASKED[name].usual}
    for name in ASKED:
        if name in wanted:
            if st.query_params.get(name) != wanted[name]:
                st.query_params[name] = wanted[name]
        elif name in st.query_params:
            del st.query_params[name]


def one_of(name: str, label: str, words: Mapping[str, str], visible: bool = True) -> str:
    """Show a choice among ``words``, one of which is always chosen."""
    chosen = st.segmented_control(
        label,
        list(words),
        format_func=words.__getitem__,
        key=key(name),
        label_visibility="visible" if visible else "collapsed",
        required=True,
    )
    return chosen or str(ASKED[name].usual)


def hold() -> None:
    """Keep the values of widgets that are not shown now: they would be forgotten."""
    for name in ASKED:
        if key(name) in st.session_state:
            st.session_state[key(name)] = st.session_state[key(name)]
