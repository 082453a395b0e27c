from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from diagnostics.charts import profile, still
from diagnostics.charts.palette import THEMES
from diagnostics.records import Records
from tests.diagnostics.charts.samples import story

SVG = "{http://www.w3.org/2000/svg}"


def test_every_run_has_its_line_and_its_name_in_the_colour_of_the_figure() -> None:
    runs = [replace(story()[0], name="<b>&amp;"), story()[1]]
    prepared = profile.prepare(runs)
    picture = ElementTree.fromstring(still.svg(prepared))
    assert "<b>&amp;" in "".join(picture.itertext())
    for line in prepared.lines:
        colour = THEMES["light"].lines[line.style.colour]
        assert len([one for one in picture.iter(f"{SVG}path") if one.get("stroke") == colour]) == 2


def test_a_line_falls_to_the_left_and_ends_within_the_picture() -> None:
    prepared = profile.prepare(story()[:1])
    picture = ElementTree.fromstring(still.svg(prepared))
    path = next(one for one in picture.iter(f"{SVG}path") if one.get("fill") == "none").get("d")
    places = np.array([[float(part) for part in step.split()] for step in path.replace("M", "").split("L")])
    assert (np.diff(places[:, 0]) < 0).all()  # from the loss at the right back in time
    assert places[-1, 1] > places[0, 1]
    width, height = (float(picture.get(side)) for side in ("width", "height"))
    assert (places >= 0).all()
    assert (places <= [width, height]).all()


def test_zeros_leave_a_gap_and_nothing_is_refused() -> None:
    (run,) = story()[:1]
    columns = dict(run.records)
    columns["state_grad"] = columns["state_grad"].copy()
    columns["state_grad"][:, :, 10:20] = 0
    text = still.svg(profile.prepare([replace(run, records=Records(columns))]))
    path = next(one for one in ElementTree.fromstring(text).iter(f"{SVG}path") if one.get("fill") == "none").get("d")
    assert path.count("M") == 2
    with pytest.raises(ValueError, match="must have a line to draw, but has none"):
        still.svg(profile.prepare([replace(run, records=Records.empty())]))
