"""The controls of a stop: each is filled from the address in a new session, and kept for as long as the session.

``name`` is the control's name among the stop's values and in the address; its widget's key is ``learn-<slug>-<name>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import streamlit as st

from ui.address import quoted

Value = TypeVar("Value")
REFUSED = "learn-refused"
"""Sentences on what the address asked for in vain, for the page to show."""


def key(slug: str, name: str) -> str:
    """The key of a control's widget."""
    return f"learn-{slug}-{name}"


def choice(slug: str, name: str, label: str, options: Mapping[Value, str], usual: Value, help: str = "") -> Value:
    """One of ``options``, whose words are shown side by side."""
    _fill(slug, name, usual, lambda text: _one_of(name, text, list(options)))
    chosen = st.segmented_control(
        label, list(options), format_func=options.__getitem__, required=True, help=help or None, **_as(slug, name)
    )
    return usual if chosen is None else chosen


def several(
    slug: str, name: str, label: str, options: Mapping[Value, str], usual: Sequence[Value], help: str = ""
) -> tuple[Value, ...]:
    """Any of ``options``, in their order; may be none."""
    _fill(slug, name, list(usual), lambda text: [_one_of(name, part, list(options)) for part in text.split(",")])
    chosen = st.pills(
        label,
        list(options),
        selection_mode="multi",
        format_func=options.__getitem__,
        help=help or None,
        **_as(slug, name),
    )
    return tuple(option for option in options if option in chosen)


def slider(
    slug: str, name: str, label: str, options: Sequence[Value], usual: Value, help: str = "", words: str = "{}"
) -> Value:
    """One of ``options`` in their order, on a slider; ``words`` is a format for each."""
    _fill(slug, name, usual, lambda text: _one_of(name, text, options))
    chosen: Value = st.select_slider(
        label, list(options), format_func=lambda one: words.format(one), help=help or None, **_as(slug, name)
    )
    return chosen


def number(slug: str, name: str, label: str, least: int, most: int, usual: int, help: str = "") -> int:
    """A whole number that is typed."""
    _fill(slug, name, usual, lambda text: _whole(name, text, least, most))
    return int(st.number_input(label, least, most, step=1, help=help or None, width=160, **_as(slug, name)))


def text(slug: str, name: str, label: str, usual: str, most: int, help: str = "", area: bool = False) -> str:
    """A text of at most ``most`` characters; in the address only where it is short."""
    _fill(slug, name, usual, lambda given: given[:most])
    show: Any = st.text_area if area else st.text_input
    return str(show(label, max_chars=most, help=help or None, **_as(slug, name)) or "")


def written(value: Any) -> str | None:
    """A control's value as the address carries it; None where it is too long for one."""
    said = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return said if len(said) <= 200 else None


def _as(slug: str, name: str) -> dict[str, Any]:
    return {"key": key(slug, name), "persist_state": "session"}


def _fill(slug: str, name: str, usual: Any, parse: Callable[[str], Any]) -> None:
    if key(slug, name) in st.session_state:
        return
    value = usual
    if name in st.query_params and st.query_params.get("stop") == slug:
        try:
            value = parse(st.query_params[name])
        except ValueError as error:
            st.session_state.setdefault(REFUSED, []).append(f"In the address, {error}; it was left as usual.")
    st.session_state[key(slug, name)] = value


def _one_of(name: str, text: str, options: Sequence[Value]) -> Value:
    for option in options:
        if str(option) == text:
            return option
    raise ValueError(f"{name} must be one of {', '.join(map(str, options))}, but got {quoted(text)}")


def _whole(name: str, text: str, least: int, most: int) -> int:
    if not (text.removeprefix("-").isdigit() and text.isascii() and least <= int(text[:12]) <= most):
        raise ValueError(f"{name} must be a whole number from {least} to {most}, but got {quoted(text)}")
    return int(text)
