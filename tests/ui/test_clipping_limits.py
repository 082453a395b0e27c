"""The page Clipping with norms that no threshold reaches: whatever it offers, it takes back."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST
from diagnostics.records import Records
from diagnostics.store import Store
from experiments.spec import RunSpec
from tests.diagnostics.charts.samples import story
from tests.ui.conftest import Open, words, write

POWERS = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
SUPERSCRIPTS = str.maketrans(POWERS, "-0123456789")


def as_number(text: str) -> float:
    """What the slider says of one of its stops: 0.5, 2·10⁵ or 10⁻¹²."""
    mantissa, _, power = re.sub(f"10(?=[{POWERS}])", "·", text).replace("··", "·").partition("·")
    return float(f"{mantissa or 1}e{power.translate(SUPERSCRIPTS) or 0}")


def page(open_app: Open, store: Store, norm: float, count: int | None = None) -> tuple[AppTest, str]:
    """The page of a run that had this norm at its first ``count`` steps, None for all, and none afterwards."""
    run = story(count=4)[0]
    norms = np.full(run.records.rows("step"), np.nan)
    norms[:count] = norm
    huge = replace(run, records=Records({**run.records, "grad_norm_pre": norms}))
    _, (run_id,) = store.create([RunSpec.make(cell="tanh", gap=40, steps=500).to_json()], ["huge"])
    write(store, run_id, huge)
    app = open_app()
    app.switch_page("ui/pages/clipping.py")
    app.run()
    assert not app.exception, app.exception
    return app, run_id


@pytest.mark.parametrize("norm", [1.9e26, 1e-26])
def test_where_no_threshold_fits_none_is_offered(open_app: Open, store: Store, norm: float) -> None:
    app, _ = page(open_app, store, norm)
    assert "is left out: clipping takes none below" in words(app).replace("\\", "")
    assert not [button for button in app.button if str(button.key).startswith("suggest-")]
    stops = [as_number(text) for text in app.select_slider[0].options]
    assert THRESHOLD_LEAST <= min(stops) <= max(stops) <= THRESHOLD_MOST


def test_one_norm_is_one_button_whose_address_is_read_again(open_app: Open, store: Store) -> None:
    app, run_id = page(open_app, store, 3.3e11, count=1)
    (one,) = [button for button in app.button if str(button.key).startswith(f"suggest-{run_id}")]
    one.click().run()
    address = app.query_params["norm"]
    assert float(address) == 3.3e11
    again = open_app()
    again.switch_page("ui/pages/clipping.py")
    again.query_params["norm"] = address
    again.run()
    assert not again.warning
    assert again.session_state["clipping-norm"] == 3.3e11
