import itertools

import numpy as np
import pytest

from diagnostics.charts import palette
from diagnostics.charts.palette import GRADIENT, THEMES, Theme, contrast, gradient_colour, styles, text_on
from diagnostics.charts.series import SYMBOLS
from tests.diagnostics.charts.samples import france_facts, powers, run_of

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "tritanopia": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}
CELLS = ("tanh", "sigmoid", "relu", "identity", "gru", "lstm")


def lab(colour: str, vision: str) -> np.ndarray:
    """CIE Lab of a colour as somebody with that vision sees it."""
    srgb = np.array(palette.rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(VISION[vision] @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    scaled = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> Theme:
    return THEMES[request.param]


def test_lines_and_marks_stand_out_from_the_ground(theme: Theme) -> None:
    for colour in (*theme.lines, theme.mark):
        assert contrast(colour, theme.plot) >= 3.0, colour
        assert contrast(colour, theme.rail) >= 2.8, colour


def test_texts_read_well_on_every_ground_they_stand_on(theme: Theme) -> None:
    for ground in (theme.paper, theme.plot, theme.rail, theme.hover, theme.no_value):
        assert contrast(theme.text, ground) >= 4.5
    for ground in (theme.paper, theme.plot, theme.rail):
        assert contrast(theme.muted, ground) >= 4.5


def test_words_read_well_on_every_colour_of_the_gradient() -> None:
    for log_ratio in np.linspace(-8, 4, 400):
        ground = gradient_colour(float(log_ratio))
        assert contrast(text_on(ground), ground) >= 4.5


def test_the_gradients_colours_brighten_all_the_way() -> None:
    lightness = np.array([[lab(colour, vision)[0] for colour in GRADIENT] for vision in VISION])
    assert (np.diff(lightness, axis=1) > 0).all()


@pytest.mark.parametrize("vision", VISION)
def test_no_two_lines_look_alike_to_anybody(theme: Theme, vision: str) -> None:
    seen = [lab(colour, vision) for colour in theme.lines]
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert nearest >= (25 if vision == "normal" else 8)


def test_the_gradients_colour_is_the_one_plotly_draws() -> None:
    scale = palette.gradient_scale()
    middle = (palette.CAPPED_LOW + palette.CAPPED_HIGH) / 2
    assert palette.rgb(gradient_colour(middle)) == pytest.approx(palette.rgb(scale[len(scale) // 2][1]), abs=1 / 255)
    assert gradient_colour(99) == gradient_colour(palette.CAPPED_HIGH)
    assert gradient_colour(-99) == gradient_colour(palette.CAPPED_LOW)


def runs(cells: list[str]) -> list:
    facts = france_facts(10)
    return [
        run_of(powers(0.9, facts.loss_step, 1), facts=facts, run_id=f"r-{i}", spec={"cell": cell})
        for i, cell in enumerate(cells)
    ]


@pytest.mark.parametrize(
    "cells", [list(CELLS) * 2, ["lstm"] * 12, ["tanh"] * 8 + ["gru"] * 4, ["mine", "yours", "tanh"]]
)
def test_no_two_runs_are_told_by_colour_alone(cells: list[str]) -> None:
    chosen = styles(runs(cells))
    assert len({(style.dash, style.symbol) for style in chosen}) == len(cells)


def test_a_cell_keeps_its_colour_in_every_comparison() -> None:
    everything = dict(zip(CELLS, styles(runs(list(CELLS))), strict=True))
    for pair in itertools.permutations(CELLS, 2):
        for cell, style in zip(pair, styles(runs(list(pair))), strict=True):
            assert style.colour == everything[cell].colour


def test_runs_of_one_cell_are_coloured_by_order() -> None:
    assert [style.colour for style in styles(runs(["gru"] * 3))] == [0, 1, 2]


def test_what_has_no_value_has_a_symbol_of_its_own() -> None:
    assert len(set(SYMBOLS.values())) == len(SYMBOLS) == 3
