from dataclasses import replace

import numpy as np
import pytest

from diagnostics.charts import states
from tests.diagnostics.charts.inspections import inspection_of


def test_each_quantity_of_the_chosen_sample_has_a_map() -> None:
    inspection = inspection_of("lstm")
    prepared = states.prepare(inspection, sample=2)
    assert [one.key for one in prepared.maps] == ["h", "c", "i", "f", "g", "o"]
    np.testing.assert_array_equal(prepared.maps[0].values, inspection["h"][0, :, 2].T)
    np.testing.assert_array_equal(prepared.maps[1].values, inspection["c"][0, :, 2].T)
    np.testing.assert_array_equal(prepared.maps[3].values, inspection["gates"][0, 1, :, 2].T)
    drawn = [trace for trace in states.draw(prepared).data if trace.type == "heatmap"]
    for trace, one in zip(drawn, prepared.maps, strict=True):
        np.testing.assert_allclose(trace.z, one.values)


@pytest.mark.parametrize(
    ("cell", "keys"), [("tanh", "h"), ("relu", "h"), ("gru", "hrzn"), ("lstm", "hcifgo"), ("identity", "h")]
)
def test_colours_are_centred_on_zero_or_run_from_shut_to_open(cell: str, keys: str) -> None:
    prepared = states.prepare(inspection_of(cell))
    assert "".join(one.key for one in prepared.maps) == keys
    for one, trace in zip(prepared.maps, states.draw(prepared).data, strict=False):
        if one.key in "rzifo":
            assert (trace.zmin, trace.zmax) == (0, 1)
        else:
            assert trace.zmin == -trace.zmax
            assert trace.zmax >= np.abs(one.values).max() or cell not in ("relu", "identity")


def test_what_is_too_much_is_reduced_and_said() -> None:
    prepared = states.prepare(inspection_of("tanh", T=1000, H=300, B=1))
    (one,) = prepared.maps
    assert one.values.shape[0] == 256
    assert one.values.shape[1] <= 400
    assert "256 of 300 units, evenly picked" in prepared.origin.caption
    assert "each column the median of 3 timesteps" in prepared.origin.caption
    assert (prepared.units[0], prepared.units[-1]) == (0, 299)


def test_the_words_stand_along_the_axis_while_they_fit() -> None:
    few = states.draw(states.prepare(inspection_of(T=30))).layout.xaxis
    assert few.ticktext[2] == "<b>France</b>"
    assert few.ticktext[0] == "w0&lt;b&gt;"
    assert len(few.ticktext) == 30
    many = states.draw(states.prepare(inspection_of(T=300)))
    assert many.layout.xaxis.ticktext[:2] == ("0", "20")
    assert any(note.text == "▾ <b>France</b>" for note in many.layout.annotations)


def test_informative_steps_beside_one_another_share_a_mark() -> None:
    copied = replace(inspection_of(T=100), informative_steps=((0, 1, 2, 60),) * 3)
    figure = states.draw(states.prepare(copied))
    marks = {note.text: note.x for note in figure.layout.annotations if note.text.startswith("▾")}
    assert marks == {"▾ <b>w0&lt;b&gt;</b> … <b>France</b>": 0, "▾ <b>w60&lt;b&gt;</b>": 60}


def test_shares_are_below() -> None:
    inspection = inspection_of("relu")
    prepared = states.prepare(inspection)
    assert [one.name for one in prepared.shares] == ["units at 0", "dead: 0 for every sample"]
    np.testing.assert_array_equal(prepared.shares[1].values, inspection["dead"][0])
    assert prepared.never_on == 0.25
    assert "25 % of the units are 0 at every timestep of every sample" in states.describe(prepared)


def test_what_is_not_finite_is_marked() -> None:
    h = np.zeros((1, 12, 3, 5), dtype="f4")
    h[0, 4, 0, 1], h[0, 5, 0, 2] = np.nan, np.inf
    figure = states.draw(states.prepare(inspection_of("identity", h=h)))
    marks = {
        trace.name: (list(trace.x), list(trace.y))
        for trace in figure.data
        if trace.type == "scatter" and trace.mode == "markers"
    }
    assert marks == {"infinite": ([5], [2]), "not a number": ([4], [1])}


def test_samples_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="sample must be from 0 to 2, but got 3"):
        states.prepare(inspection_of(), sample=3)
