"""CSV: exact numbers, no formulas, nothing lost."""

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.export import tables
from diagnostics.records import BAND, COLUMNS, Run


def parsed(text: str) -> list[dict[str, str]]:
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_line_per_training_step_reads_back_to_the_same_floats(run: Run) -> None:
    rows = parsed(tables.steps_csv(run))
    assert [row["step [training step]"] for row in rows] == ["0", "1", "2", "3", "4"]
    for name, column in COLUMNS.items():
        if column.stream == "step":
            cells = [float(row[f"{name} [{column.unit}]"]) for row in rows[:4]]
            np.testing.assert_array_equal(cells, run.records[name])
    assert rows[0]["loss [loss]"] == "-1.5"  # a negative number stays a number
    assert [row["loss [loss]"] for row in rows[2:4]] == ["nan", "inf"]
    assert rows[3]["grad_norm_post [l2]"] == "-inf"


def test_measurements_stand_at_their_step_and_the_last_has_its_own_line(run: Run) -> None:
    rows = parsed(tables.steps_csv(run))
    assert [row["eval_success [share]"] for row in rows] == ["", "", "0.25", "", "0.5"]
    assert rows[4]["loss [loss]"] == ""


def test_profiles_are_long_with_steps_counted_back_from_the_loss(run: Run) -> None:
    rows = parsed(tables.profiles_csv(run))
    P, L, T, _ = run.records["state_grad"].shape
    assert len(rows) == P * L * T
    assert [row["steps_back"] for row in rows[:T]] == [str(back) for back in range(T - 1, -1, -1)]
    for b, band in enumerate(BAND):
        cells = np.array([float(row[f"state_grad_{band} [l2]"]) for row in rows]).reshape(P, L, T)
        np.testing.assert_array_equal(cells, run.records["state_grad"][..., b])
    assert "grad_c [l2]" not in rows[0]


def test_tokens_cannot_become_formulas(run: Run) -> None:
    rows = parsed(tables.profiles_csv(run))
    assert [row["token"] for row in rows[:6]] == ["'=1+1", "'-", "a,b", 'say "x"', "'@x", "___"]


def test_a_run_without_records_gives_headers_alone(run: Run) -> None:
    from diagnostics.records import Records

    empty = Run("r", "n", "queued", {}, None, Records.empty())
    assert len(parsed(tables.steps_csv(empty))) == 0
    assert tables.steps_csv(empty).startswith("run,step [training step],loss [loss]")
    assert len(parsed(tables.profiles_csv(empty))) == 0


def test_summary_says_verdict_and_name(run: Run) -> None:
    (row,) = parsed(tables.summary_csv([run]))
    assert row["name"].startswith("'=HYPERLINK")
    assert row["verdict"] in {"vanishing", "reaches", "exploding", "diverged"}
    assert row["success [share]"] == "0.5"
    assert row["sentence"]


def test_every_column_is_explained() -> None:
    rows = parsed(tables.columns_csv())
    assert [row["column"] for row in rows] == list(COLUMNS)
    assert all(row["meaning"] and row["unit"] for row in rows)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "  =", "\n=", "\u00a0=", "＝", "\0="])
def test_text_that_begins_a_formula_is_quoted(start: str) -> None:
    assert tables.safe_text(start + "1") == "'" + start + "1"


@pytest.mark.parametrize("text", ["", "France", "a=b", "1-2", "'=x", "r-7f3k2a", "×"])
def test_other_text_is_left_alone(text: str) -> None:
    assert tables.safe_text(text) == text


@given(st.text(), st.floats(), st.integers())
def test_any_text_and_number_survives(text: str, number: float, whole: int) -> None:
    out = tables.csv_text(["a", "b", "c", "d"], [[text, number, whole, None]])
    out.encode("utf-8")
    header, row = csv.reader(io.StringIO(out, newline=""))
    assert header == ["a", "b", "c", "d"]
    assert row[0] == tables.safe_text(text)
    assert float(row[1]) == number or (math.isnan(float(row[1])) and math.isnan(number))
    assert int(row[2]) == whole
    assert row[3] == ""
