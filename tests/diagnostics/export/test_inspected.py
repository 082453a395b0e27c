"""An inspection taken away: what is in the files is what is in the inspection."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from diagnostics.export.inspected import document, inspection_json, inspection_npz, quantity_csv
from diagnostics.inspection import load
from diagnostics.strict_json import loads
from tests.diagnostics.charts.inspections import inspection_of


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_entry_is_a_line_with_its_places() -> None:
    one = inspection_of("lstm", T=4, B=2, H=3)
    rows = table(quantity_csv(one, "gates"))
    assert len(rows) == one["gates"].size
    row = rows[-1]
    assert (row["layer"], row["gate"], row["timestep"], row["sample"], row["unit"]) == ("0", "o", "3", "1", "2")
    assert float(row["gates [activation]"]) == one["gates"][0, 3, 3, 1, 2]


def test_places_have_the_names_that_other_quantities_give_them() -> None:
    one = inspection_of("tanh", T=12)
    rows = table(quantity_csv(one, "product_singular_values"))
    assert [int(steps) for steps in dict.fromkeys(row["steps"] for row in rows)] == one["product_lags"].tolist()
    rows = table(quantity_csv(one, "eigenvalues"))
    assert {row["part"] for row in rows} == {"real", "imaginary"}
    assert {row["gate"] for row in rows} == {"h"}


def test_all_gates_together_have_a_name_and_text_is_no_formula() -> None:
    names = np.array(["head.bias", "=1+1"])
    one = inspection_of("gru", weight_grad=np.ones((1, 12, 4)), parameter_names=names, parameter_norm=np.ones(2))
    assert list(dict.fromkeys(row["gate"] for row in table(quantity_csv(one, "weight_grad")))) == ["r", "z", "n", "all"]
    assert [row["parameter"] for row in table(quantity_csv(one, "parameter_norm"))] == ["head.bias", "'=1+1"]
    assert table(quantity_csv(one, "parameter_names"))[1]["parameter_names"] == "'=1+1"


def test_what_is_not_finite_is_kept_in_every_kind_of_file(tmp_path: Path) -> None:
    one = inspection_of("tanh", state_grad=np.array([[[np.nan]], [[np.inf]], [[0.0]]]).reshape(1, 3, 1), T=3, B=1)
    values = [row["state_grad [l2]"] for row in table(quantity_csv(one, "state_grad"))]
    assert values == ["nan", "inf", "0.0"]
    assert loads(inspection_json(one))["quantities"]["state_grad"]["values"] == [[["nan"], ["inf"], [0.0]]]
    path = tmp_path / "one.npz"
    path.write_bytes(inspection_npz(one))
    again = load(path)
    assert set(again) == set(one)
    np.testing.assert_array_equal(again["state_grad"], one["state_grad"])


def test_the_document_says_what_each_number_is() -> None:
    found = document(inspection_of("lstm"), leave_out=("h",))
    assert "h" not in found["quantities"]
    assert found["quantities"]["c"]["axes"] == ("L", "T", "B", "H")
    assert found["gates"] == ("i", "f", "g", "o")
