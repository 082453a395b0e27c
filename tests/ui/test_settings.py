"""Settings, and the addresses that carry them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.presets import PRESETS
from experiments.spec import FIELDS, Refusal
from ui import address
from ui.settings import RUNS_AT_MOST, Settings, settings_of

TEXT = st.text(max_size=30) | st.sampled_from(
    ["nan", "inf", "1e999", "-1", "0", "norm:", "norm:nan", "value:1", "9" * 99]
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "nothing"]), TEXT))
def test_no_address_is_an_error_and_what_is_read_is_written_and_read_the_same(params: dict[str, str]) -> None:
    settings, said = address.read(params)
    assert all(sentence.endswith(".") for sentence in said)
    assert address.read(address.write(settings)) == (settings, [])
    with suppress(Refusal):
        assert settings.specs()


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_goes_through_the_address_unchanged(name: str) -> None:
    specs = PRESETS[name].specs()
    settings = settings_of(specs)
    again, said = address.read(address.write(settings))
    assert (again, said) == (settings, [])
    assert {spec.digest() for spec in again.specs()} == {spec.digest() for spec in specs}


def test_a_gate_bias_is_not_asked_of_cells_without_a_gate() -> None:
    settings = Settings().with_axis("cell", ["tanh", "lstm"]).with_axis("gate_bias", [0.0, 3.0])
    assert [(spec.cell, spec.gate_bias) for spec in settings.specs()] == [("tanh", None), ("lstm", 0.0), ("lstm", 3.0)]


def test_too_many_runs_are_refused_in_a_sentence() -> None:
    settings = Settings().with_axis("seed", range(RUNS_AT_MOST))
    with pytest.raises(Refusal, match=f"at most {RUNS_AT_MOST} runs, but got {4 * RUNS_AT_MOST}"):
        settings.specs()
    with pytest.raises(Refusal, match="cell must have at least one value"):
        Settings().with_axis("cell", []).specs()


@pytest.mark.parametrize(("text", "values"), [("chrono", ("chrono",)), ("chrono, 0,3", ("chrono", 0.0, 3.0))])
def test_a_gate_bias_in_the_address_goes_with_the_cells_that_have_a_gate(text: str, values: tuple) -> None:
    settings, said = address.read({"cell": "tanh,lstm", "gate_bias": text})
    assert (settings.axes["gate_bias"], said) == (values, [])
    assert [spec.cell for spec in settings.specs()] == ["tanh", *["lstm"] * len(values)]
    without, said = address.read({"cell": "tanh", "gate_bias": text})
    assert said == []
    with pytest.raises(Refusal, match="gate_bias must be left out for the cell tanh"):
        without.specs()


@pytest.mark.parametrize("text", ["LSTM 3", "nan", "21", "Chrono!"])
def test_a_gate_bias_that_is_none_is_refused_by_its_own_rule(text: str) -> None:
    with pytest.raises(ValueError, match="gate_bias must be"):
        address.parse("gate_bias", text)
