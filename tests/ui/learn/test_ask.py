"""What the controls of a stop make of an address, and write into one."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from ui.learn.ask import written


def every_control() -> None:
    import streamlit as st

    from ui.learn import ask

    st.session_state["said"] = {
        "kind": ask.choice("s", "kind", "Kind", {"a": "A", "b": "B"}, "a"),
        "many": ask.several("s", "many", "Many", {"a": "A", "b": "B", "c": "C"}, ("b",)),
        "size": ask.slider("s", "size", "Size", (1, 2, 4), 2, words="{} words"),
        "count": ask.number("s", "count", "Count", 1, 9, 5),
        "text": ask.text("s", "text", "Text", "hello", 8),
    }


def opened(**params: str) -> AppTest:
    app = AppTest.from_function(every_control, default_timeout=30)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


USUAL = {"kind": "a", "many": ("b",), "size": 2, "count": 5, "text": "hello"}


def test_without_an_address_all_is_as_usual() -> None:
    assert opened().session_state["said"] == USUAL


def test_the_address_fills_every_control() -> None:
    app = opened(stop="s", kind="b", many="c,a", size="4", count="9", text="a longer text")
    assert app.session_state["said"] == {"kind": "b", "many": ("a", "c"), "size": 4, "count": 9, "text": "a longer"}
    assert "learn-refused" not in app.session_state


def test_the_address_of_another_stop_is_none_of_its_business() -> None:
    assert opened(stop="other", kind="b", size="4").session_state["said"] == USUAL


@pytest.mark.parametrize("absurd", ["", "nan", "-1", "1e999", "²", "9" * 400, "<b>"])
def test_what_makes_no_sense_is_refused_in_a_sentence_and_left_as_usual(absurd: str) -> None:
    app = opened(stop="s", kind=absurd, many=f"a,{absurd}", size=absurd, count=absurd)
    assert app.session_state["said"] == USUAL
    said = app.session_state["learn-refused"]
    assert len(said) == 4
    for name, sentence in zip(("kind", "many", "size", "count"), said, strict=True):
        assert sentence.startswith(f"In the address, {name} must be")
        assert sentence.endswith("; it was left as usual.")
        assert len(sentence) < 200


def test_what_is_chosen_is_kept() -> None:
    app = opened()
    app.number_input(key="learn-s-count").set_value(7).run()
    assert app.session_state["said"]["count"] == 7


def test_what_the_address_carries() -> None:
    assert written(("a", "b")) == "a,b"
    assert written(4) == "4"
    assert written("x" * 201) is None
