"""A checkpoint on the page Your model, without a browser: good, hostile, huge and other files."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest
from torch import nn

from diagnostics.store import Store
from experiments.checkpoint import job
from tests.ui.conftest import Open, words


@pytest.fixture
def page(open_app: Open, store: Store) -> AppTest:
    app = open_app()
    app.switch_page("ui/pages/your_model.py")
    app.query_params["view"] = "checkpoint"
    app.run()
    assert not app.exception
    return app


def bring(app: AppTest, content: bytes, name: str = "model.pt") -> str:
    """Give a file and wait until everything is over; returns every sentence on the page."""
    app.file_uploader(key="checkpoint").set_value((name, content, "application/octet-stream")).run()
    return settled(app)


def settled(app: AppTest) -> str:
    deadline = time.monotonic() + 120
    while "hourglass_top" in words(app):
        assert time.monotonic() < deadline
        time.sleep(0.1)
        app.run()
    assert not app.exception, app.exception
    return words(app)


def saved(what: Any) -> bytes:
    file = io.BytesIO()
    torch.save(what, file)
    return file.getvalue()


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.LSTM(2, 4, 2, bidirectional=True), nn.GRU(3, 4)
        self.projected = nn.LSTM(2, 4, proj_size=2)


def test_without_a_file_it_says_what_it_takes_and_that_no_code_runs(page: AppTest) -> None:
    assert "Code is never uploaded and never run" in words(page)
    assert not page.error


def test_of_several_recurrences_one_is_chosen_and_probed(page: AppTest) -> None:
    said = bring(page, saved(Two().state_dict()))
    assert "projected cannot be probed: its state is projected" in said.replace("\\", "")
    choice = page.selectbox(key="checkpoint-part")
    assert choice.options == ["decoder · nn.GRU, 1 layer of 4", "encoder · nn.LSTM, 2 layers of 4, both directions"]
    assert said.count("<strong>layer") == 1
    choice.set_value("encoder").run()
    said = settled(page)
    assert said.count("<strong>layer") == 4
    assert "σ max of f" in said
    assert "figure-checkpoint-probe" in page.session_state["drawn"]


def test_every_control_probes_anew(page: AppTest) -> None:
    bring(page, saved(nn.RNN(2, 4).state_dict()))
    page.segmented_control(key="checkpoint-nonlinearity").set_value("relu").run()
    settled(page)
    page.segmented_control(key="checkpoint-loss").set_value("projection").run()
    settled(page)
    page.number_input(key="checkpoint-timesteps").set_value(20).run()
    settled(page)
    page.segmented_control(key="checkpoint-inputs").set_value("zeros").run()
    said = settled(page)
    _, found = page.session_state["checkpoint-found"]
    asked = found.asked
    assert (asked.nonlinearity, asked.loss, asked.timesteps, asked.inputs) == ("relu", "projection", 20, "zeros")
    assert "of 19 steps" in said
    assert not [element for element in page.get("number_input") if element.key == "checkpoint-scale"]


def test_safetensors_are_read(page: AppTest) -> None:
    from safetensors.torch import save

    assert "In words" in bring(page, save({f"a.{k}": v for k, v in nn.GRU(2, 3).state_dict().items()}), "m.safetensors")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (saved(nn.GRU(2, 3)), "holds more than weights (it asks for torch.nn.modules.rnn.GRU)"),
        (b"GIF89a no weights", "neither a safetensors file nor one that torch.save wrote"),
        (json.dumps({"weights": [1, 2]}).encode(), "neither a safetensors file"),
        (saved(nn.GRU(20, 30).state_dict())[:-300], "damaged"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(page: AppTest, content: bytes, why: str) -> None:
    bring(page, content)
    [error] = page.error
    said = error.value.replace("\\", "")
    assert why in said
    assert "Traceback" not in said
    assert said.endswith(".")


def test_a_file_without_recurrences_says_what_is_looked_for(page: AppTest) -> None:
    assert "No recurrent weights were found" in bring(page, saved(nn.Linear(2, 3).state_dict()))
    assert not page.error


def test_a_huge_file_is_not_looked_at(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "FILE_AT_MOST", 1000)
    bring(page, bytes(1001))
    assert "but this one has 1,001 bytes" in page.error[0].value.replace("\\", "")


def test_another_file_is_another_figure(page: AppTest) -> None:
    bring(page, saved(nn.GRU(2, 3).state_dict()))
    before = page.session_state["drawn"]["figure-checkpoint-probe"]
    bring(page, saved(nn.GRU(2, 3).state_dict()))
    assert page.session_state["drawn"]["figure-checkpoint-probe"] != before


def test_names_in_a_file_break_nothing(page: AppTest) -> None:
    name = "](javascript:alert(1)) <b>:material/home:"
    said = bring(page, saved({f"{name}.{k}": v for k, v in nn.GRU(2, 3).state_dict().items()}))
    assert "<b>:" not in said.replace("\\", "\0")
