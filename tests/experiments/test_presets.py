import pytest

from experiments.presets import PRESETS
from experiments.spec import RunSpec, predict


def test_the_first_preset_is_the_story() -> None:
    first = next(iter(PRESETS.values()))
    assert [spec.cell for spec in first.specs()] == ["tanh", "relu", "gru", "lstm"]
    assert {(spec.task, spec.gap) for spec in first.specs()} == {("france", 40)}


def test_the_presets_are_those_that_were_promised() -> None:
    assert [preset.title for preset in PRESETS.values()] == [
        "Gates remember",
        "A closed gate forgets too",
        "Vanishing",
        "Exploding, and clipping it",
        "ReLU is no cure",
        "Short against long",
    ]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_comparison_that_ends_within_a_minute(name: str) -> None:
    specs = PRESETS[name].specs()
    assert len({spec.digest() for spec in specs}) == len(specs) > 1
    assert sum(predict(spec).seconds for spec in specs) < 60
    assert PRESETS[name].question.endswith(".")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_the_store(name: str) -> None:
    for spec in PRESETS[name].specs():
        assert RunSpec.from_json(spec.to_json()) == spec
