"""What the page is asked: kept while another page is shown, and in the address, so that a link opens it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from diagnostics.inspection import SECTIONS
from experiments.inspection.asked import SAMPLES_AT_MOST, Asked
from experiments.spec import FIELDS
from ui.address import quoted

RUN, WITH, STEP, SAMPLES, PARTS, VIEW = "run", "with", "step", "samples", "parts", "view"
LAYER, SAMPLE = "layer", "sample"
SEEDS = "seeds"
TOGETHER, EACH = "together", "each"
"""How runs that differ only in their seed are shown."""
LINES_AT_MOST = 6
"""As many as every figure can tell apart: runs, or seeds that are drawn as one."""
OTHERS_AT_MOST = 5 * LINES_AT_MOST - 1
"""As many runs beside the first as make five seeds of each line."""

USUAL: Mapping[str, Any] = {
    RUN: None,
    WITH: (),
    STEP: None,
    SAMPLES: Asked().samples,
    PARTS: tuple(SECTIONS),
    VIEW: "theory",
    LAYER: 1,
    SAMPLE: 1,
    SEEDS: TOGETHER,
}
"""By the name that a query parameter has; layers and samples are counted from 1, as people do."""

_KEPT = "inspect-kept"


def key(name: str) -> str:
    """The key of the widget that asks for ``name``."""
    return f"inspect-{name}"


def look_at(run_ids: Sequence[str]) -> dict[str, str]:
    """Have the page look at the first of these runs, beside the others; returns the address that says so."""
    first, *others = run_ids
    chosen = {RUN: first, WITH: tuple(others[:OTHERS_AT_MOST]), STEP: None, LAYER: 1, SAMPLE: 1}
    st.session_state[_KEPT] = USUAL | st.session_state.get(_KEPT, {}) | chosen
    for name in chosen:
        st.session_state.pop(key(name), None)
    return _address(st.session_state[_KEPT])


def fill(views: Sequence[str]) -> list[str]:
    """Give every widget that has none its value: as it was, else as the address asks; returns what made no sense."""
    kept: dict[str, Any] | None = st.session_state.get(_KEPT)
    said: list[str] = []
    wanted = dict(USUAL) if kept is None else dict(kept)
    if kept is None:
        for name in USUAL:
            if name in st.query_params:
                try:
                    wanted[name] = _parse(name, st.query_params[name], views)
                except ValueError as error:
                    said.append(f"In the address, {error}; it was left as usual.")
    if (count := len(wanted[WITH])) > OTHERS_AT_MOST:
        said.append(
            f"In the address, with must name at most {OTHERS_AT_MOST} runs, but got {count}; the first "
            f"{OTHERS_AT_MOST} are shown."
        )
        wanted[WITH] = wanted[WITH][:OTHERS_AT_MOST]
    for name, value in wanted.items():
        st.session_state.setdefault(key(name), list(value) if isinstance(value, tuple) else value)
        st.session_state[key(name)] = st.session_state[key(name)]  # a widget that is not shown would forget
    return said


def now(name: str) -> Any:
    """What is asked now."""
    return st.session_state[key(name)]


def put(name: str, value: Any) -> None:
    """Ask for something else, before the widget is shown."""
    st.session_state[key(name)] = value


def keep() -> None:
    """Remember what the widgets say, and write it into the address."""
    found = {name: st.session_state[key(name)] for name in USUAL}
    st.session_state[_KEPT] = {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
    wanted = _address(st.session_state[_KEPT])
    for name in USUAL:
        if name not in wanted and name in st.query_params:
            del st.query_params[name]
        elif name in wanted and st.query_params.get(name) != wanted[name]:
            st.query_params[name] = wanted[name]


def _address(asked: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in asked.items()
        if value != USUAL[name]
    }


_LIMITS = {
    STEP: (0, 10**9),
    SAMPLES: (1, SAMPLES_AT_MOST),
    LAYER: (1, int(FIELDS["layers"].maximum or 1)),
    SAMPLE: (1, SAMPLES_AT_MOST),
}


def _parse(name: str, text: str, views: Sequence[str]) -> Any:
    if name == RUN:
        return text
    if name == WITH:
        return tuple(dict.fromkeys(filter(None, text.split(","))))
    if name == VIEW:
        if text not in views:
            raise ValueError(f"view must be one of {', '.join(views)}, but got {quoted(text)}")
        return text
    if name == SEEDS:
        if text not in (TOGETHER, EACH):
            raise ValueError(f"seeds must be one of {TOGETHER}, {EACH}, but got {quoted(text)}")
        return text
    if name == PARTS:
        parts = tuple(text.split(","))
        if not set(parts) <= set(SECTIONS):
            raise ValueError(f"parts must be of {', '.join(SECTIONS)}, but got {quoted(text)}")
        return tuple(part for part in SECTIONS if part in parts)
    least, most = _LIMITS[name]
    if not (text.isascii() and text.isdigit() and least <= int(text[:12]) <= most):
        raise ValueError(f"{name} must be a whole number from {least} to {most}, but got {quoted(text)}")
    return int(text)
