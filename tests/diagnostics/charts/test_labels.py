import pytest

from diagnostics.charts.labels import run_labels, safe, short, spoken, text_width, wrap
from diagnostics.records import Records, Run


def alike(*specs: dict[str, object]) -> tuple[str, ...]:
    return run_labels([Run(f"r-{i}", "tanh", "finished", spec, None, Records.empty()) for i, spec in enumerate(specs)])


def named(*names: str) -> list[Run]:
    return [Run(f"r-{i}", name, "finished", {}, None, Records.empty()) for i, name in enumerate(names)]


def test_markup_in_names_is_shown_not_followed() -> None:
    assert safe("<a href='x'>&b</a>") == "&lt;a href='x'&gt;&amp;b&lt;/a&gt;"


def test_what_cannot_be_drawn_is_replaced() -> None:
    assert safe("a\ud800b") == "a?b"
    assert safe("two\nlines\x00") == "two lines "


def test_long_names_keep_both_ends() -> None:
    name = "LSTM · clip norm 1.0 · gate bias chrono · orthogonal · seed 12"
    cut = short(name, 30)
    assert len(cut) <= 30
    assert cut.startswith("LSTM · clip")
    assert cut.endswith("seed 12")
    assert short("GRU", 30) == "GRU"


def test_runs_of_one_name_are_told_apart() -> None:
    assert run_labels(named("GRU", "LSTM", "GRU")) == ("GRU (r-0)", "LSTM", "GRU (r-2)")


def test_runs_of_one_name_are_told_apart_by_what_differs_in_their_specs() -> None:
    short_gap, long_gap = ({"cell": "tanh", "gap": gap, "steps": 300, "record_every": gap} for gap in (4, 40))
    assert alike(short_gap, long_gap) == ("tanh · gap 4", "tanh · gap 40")
    more = {**long_gap, "steps": 500}
    assert alike(short_gap, long_gap, more) == (
        "tanh · gap 4 · steps 300",
        "tanh · gap 40 · steps 300",
        "tanh · gap 40 · steps 500",
    )
    assert alike({"clip": "norm:1.0", "learning_rate": 0.003}, {"clip": "none", "learning_rate": 0.003}) == (
        "tanh · clip norm 1.0",
        "tanh · clip none",
    )


def test_runs_that_nothing_sets_apart_but_their_id_carry_it() -> None:
    assert alike({"gap": 4}, {"gap": 4}, {"gap": 40}) == ("tanh · gap 4 (r-0)", "tanh · gap 4 (r-1)", "tanh · gap 40")


def test_a_run_without_a_name_has_its_id() -> None:
    assert run_labels(named("  ")) == ("r-0",)


@pytest.mark.parametrize("width", [10, 30, 80])
def test_wrapping_keeps_every_word(width: int) -> None:
    text = "State gradient at each word ÷ its value at the loss · median over the batch · pre-clip"
    lines = wrap(text, width).split("<br>")
    assert " ".join(lines) == text
    assert all(text_width(line) <= width or " " not in line for line in lines)


def test_spoken_words_are_plain_text() -> None:
    assert spoken(["a &lt;b&gt;", "done."]) == "a <b>. done."
