"""What is sent to the browser, and where its plotly.js comes from."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go

from diagnostics.measures.what_if import by_value
from tests.ui.conftest import ROOT
from ui.example import runs
from ui.example.recorded import FOLDER
from ui.live_figure import _library_path, _plotly_assets, encode


def test_a_message_is_json_with_typed_arrays_and_a_fingerprint_of_all_of_it() -> None:
    def message(value: float, label: str = "a label") -> dict:
        figure = go.Figure(go.Scatter(y=np.array([value, np.nan, np.inf], np.float32)))
        return json.loads(encode(figure, title="</script>", label=label, filename="f"))

    first = message(1.0)
    assert set(first["figure"]["data"][0]["y"]) == {"dtype", "bdata"}
    assert first["title"] == "</script>"
    assert first["version"] == message(1.0)["version"]
    assert len({first["version"], message(2.0)["version"], message(1.0, "another")["version"]}) == 3


def test_plotly_js_is_served_from_the_installed_package() -> None:
    assert (_plotly_assets() / _library_path().rsplit("/", 1)[1]).stat().st_size > 10**6


def test_the_recorded_example_is_small_and_tells_the_story() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.sqlite")) < 10**6
    assert [run.spec["cell"] for run in runs()] == ["tanh", "relu", "gru", "lstm"]
    assert all(run.records.rows("profile") > 10 for run in runs())
    assert all(len(by_value(run.records["grad_sizes"]).rows) for run in runs())  # so that Clipping can ask them


def test_the_pages_never_reach_torch() -> None:
    code = (
        "import sys, ui.shell, ui.lab, ui.runs, ui.exports, ui.importing, ui.example.make\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
