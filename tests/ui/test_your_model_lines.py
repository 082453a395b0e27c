"""Every block of lines that the page Your model has one copy, run as it stands in a program of somebody's own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diagnostics.store import Store
from experiments.watched import covered
from tests.ui.conftest import ROOT, Open
from ui.your_model import lines

BEFORE = """
import torch
torch.manual_seed(0)
torch.set_num_threads(1)
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = torch.nn.LSTM(2, 4, batch_first=True), torch.nn.Linear(4, 1)
    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])
model = Model()
loader = [(torch.randn(3, 6, 2), torch.randn(3, 1)) for _ in range(4)]
criterion = torch.nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), 0.1)
"""

IN_LIGHTNING = """
from functools import partial
import torch, lightning.pytorch as pl
quiet = dict(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
Trainer = partial(pl.Trainer, **quiet, enable_model_summary=False)
class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = torch.nn.LSTM(2, 4, batch_first=True), torch.nn.Linear(4, 1)
    def training_step(self, batch, index):
        x, y = batch
        return (self.head(self.rnn(x)[0][:, -1]) - y).square().mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
model = Model()
loader = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(torch.randn(12, 6, 2), torch.randn(12, 1)), batch_size=3
)
"""

IN_TRANSFORMERS = """
import torch
from transformers import Trainer, TrainingArguments
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = torch.nn.LSTM(2, 4, batch_first=True), torch.nn.Linear(4, 1)
    def forward(self, x, labels):
        logits = self.head(self.rnn(x)[0][:, -1])
        return {"loss": (logits - labels).square().mean(), "logits": logits}
model = Model()
data = [{"x": torch.randn(6, 2), "labels": torch.randn(1)} for _ in range(12)]
args = TrainingArguments(
    "out", num_train_epochs=1, per_device_train_batch_size=3, report_to="none", use_cpu=True, save_strategy="no",
    disable_tqdm=True, max_grad_norm=1.0, dataloader_pin_memory=False,
)
"""

OWN_CELL = """
from diagnostics import watch
class Cell(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.both = torch.nn.Linear(6, 4)
    def forward(self, x, h):
        h = torch.tanh(self.both(torch.cat([x, h], 1)))
        return h, h.sum()
class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Cell()
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = Encoder(), torch.nn.Linear(4, 1)
    def forward(self, x):
        h = torch.zeros(len(x), 4)
        for x_t in x.unbind(1):
            h, _ = self.encoder.cell(x_t, h)
        return self.head(h)
model = Model()
optimizer = torch.optim.SGD(model.parameters(), 0.1)
"""

WRITTEN_OUT = """
from diagnostics import watch
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.watch = None
        self.W, self.U = torch.nn.Parameter(torch.randn(2, 4)), torch.nn.Parameter(torch.randn(4, 4) / 2)
        self.head = torch.nn.Linear(4, 1)
    def forward(self, x):
        x, h = x.transpose(0, 1), torch.zeros(len(x), 4)
        BLOCK
        return self.head(h)
model = Model()
model(loader[0][0])  # nobody watches yet
optimizer = torch.optim.SGD(model.parameters(), 0.1)
"""

SCANNED = """
def parallel_scan(a, b):
    h, all_of_them = torch.zeros_like(b[0]), []
    for a_t, b_t in zip(a, b):
        h = a_t * h + b_t
        all_of_them.append(h)
    return torch.stack(all_of_them)
"""


def in_a_loop(block: str) -> str:
    return BEFORE + WRITTEN_OUT.replace("BLOCK", block.replace("\n", "\n        "))


def run(code: str, store: Store, folder: Path, *, strict: bool = True) -> str:
    """Runs it in a process of its own; what it printed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "GRADREACH_STORE": str(store.path),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    # Lightning and transformers warn while they are imported, of what they do themselves.
    command = [sys.executable, *(["-W", "error"] if strict else []), "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    ("code", "module"),
    [
        (BEFORE + lines.PLAIN, "rnn"),
        (BEFORE + lines.BY_HAND, "rnn"),
        (BEFORE + OWN_CELL + lines.CELLS, "encoder.cell"),
        (in_a_loop(lines.LOOP) + lines.MARKED, "state"),
        (SCANNED + in_a_loop("a, b = torch.sigmoid(x @ self.W), x @ self.W @ self.U\n" + lines.SCAN + "\nh = h[-1]")
         + lines.MARKED, "scan"),
    ],
    ids=["plain", "by hand", "cells", "a loop", "a scan"],
)  # fmt: skip
def test_the_lines_for_torch_run(code: str, module: str, store: Store, tmp_path: Path) -> None:
    said = run(code, store, tmp_path)
    [row] = store.runs()
    assert (row.name, row.state, row.steps_done) == ("my run", "finished", 4)
    assert row.spec["watched"]["module"] == module
    assert store.read(row.id).records.rows("profile") == 1
    if "print" in code:
        assert "the gradient" in said
    if "clip" in code:
        assert row.spec["clip"] == "norm:1.0"


@pytest.mark.parametrize(
    ("code", "package"),
    [(IN_LIGHTNING + lines.LIGHTNING, "lightning"), (IN_TRANSFORMERS + lines.TRANSFORMERS, "transformers")],
    ids=["Lightning", "Hugging Face"],
)
def test_the_lines_for_trainers_run(code: str, package: str, store: Store, tmp_path: Path) -> None:
    if importlib.util.find_spec(package) is None:
        sentence = f"{package} is not installed, so its lines were not run: pip install {package}"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    assert "the gradient" in run(code, store, tmp_path, strict=False)
    [row] = store.runs()
    assert (row.name, row.state, row.steps_done, row.spec["clip"]) == ("my run", "finished", 4, "norm:1.0")
    assert any("is watched" in sentence for sentence in covered(store.info(row.id)))


def test_every_block_stands_on_the_page_with_what_it_needs(open_app: Open) -> None:
    app = open_app()
    app.switch_page("ui/pages/your_model.py")
    app.query_params["view"] = "attach"
    app.run()
    shown = {block.value for block in app.code}
    blocks = {name: text for name, text in vars(lines).items() if name.isupper()}
    assert len(blocks) == 8
    assert set(blocks.values()) <= shown
    prose = " ".join(block.value for block in [*app.markdown, *app.caption])
    for said in ("Nothing is recorded unless `w.step` or `w.clipped` is called", "`timesteps=60`", "`distance=40`"):
        assert said in prose, said
