"""What is forwarded, read back with the packages' own readers; nothing leaves the machine."""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from diagnostics import Watch, watch
from diagnostics.integrations import sending
from diagnostics.integrations.needed import needed
from tests.diagnostics.integrations.small import foreign

NAMES = {
    f"gradreach/my_lstm_{direction}/{number}"
    for direction in ("forward", "backward")
    for number in ("reach", "decay", "half_life", "grad_norm_pre", "grad_norm_post", "clip_factor")
}
SENT_AND_PRINTED = "sent = {module}.forward(w, run, 7, figures=['profile'])\nprint(json.dumps(sent))\n"


def test_names_are_what_every_place_takes(watched: Watch) -> None:
    sent = sending.numbers(watched)
    # The reverse direction is read where the loss is: it has no way to travel, and so no decay.
    assert {name for name in sent if "forward" in name} == {name for name in NAMES if "forward" in name}
    assert set(sent) <= NAMES
    assert sending.plain("gradreach/encoder.cell 2 ←/reach") == "gradreach/encoder.cell_2_backward/reach"
    assert sending.last_step(watched) == 2


def test_figures_are_named_in_a_list(watched: Watch) -> None:
    with pytest.raises(ValueError, match=r"figures must be a list of keys such as \['profile'\], but got 'profile'"):
        sending.drawn(watched, "profile")
    with pytest.raises(ValueError, match="key must be one of"):
        sending.drawn(watched, ["no such figure"])


@pytest.mark.parametrize("picture", [True, False])
def test_tensorboard(watched: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: bool) -> None:
    foreign("tensorboard.backend.event_processing.event_accumulator")
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from diagnostics.export import images
    from diagnostics.integrations import tensorboard

    def to_png(figure: object, *, scale: float) -> bytes:  # that of a Chromium is tested where it is made
        if not picture:
            raise images.ExportUnavailable("no Chromium was found")
        content = io.BytesIO()
        Image.new("RGBA", (30, 20), "red").save(content, "png")
        return content.getvalue()

    monkeypatch.setattr(images, "to_png", to_png)
    with tensorboard.writer(str(tmp_path)) as writer:
        early = tensorboard.forward(watched, writer)
        if picture:
            sent = tensorboard.forward(watched, writer, 7, figures=["profile"])
        else:
            with pytest.warns(RuntimeWarning, match="in words and numbers only: no Chromium was found"):
                sent = tensorboard.forward(watched, writer, 7, figures=["profile"])
    assert early == sent
    kept = EventAccumulator(str(tmp_path)).Reload()
    assert set(kept.Tags()["scalars"]) == set(sent)
    for name, value in sent.items():
        assert [(one.step, one.value) for one in kept.Scalars(name)] == [(s, np.float32(value)) for s in (2, 7)]
    assert kept.Tags()["images"] == (["gradreach/profile"] if picture else [])
    if picture:
        assert (kept.Images("gradreach/profile")[0].width, kept.Images("gradreach/profile")[0].height) == (30, 20)
    (words,) = kept.Tensors("gradreach/verdict/text_summary")
    assert watched.verdict.sentence in words.tensor_proto.string_val[0].decode()


def test_wandb(in_a_process: Callable[..., str], tmp_path: Path) -> None:
    foreign("wandb")
    sent = json.loads(
        in_a_process(
            "import json, wandb\n"
            "from diagnostics.integrations import wandb as to_wandb\n"
            "run = wandb.init(mode='offline', project='test')\n"
            "to_wandb.forward(w, run)\n"
            + SENT_AND_PRINTED.format(module="to_wandb")
            + "summary = run.summary['gradreach/verdict']\n"
            "assert summary == w.verdict.sentence, summary\n"
            "run.finish()\n",
            WANDB_SILENT="true",
            WANDB_DIR=str(tmp_path),
            WANDB_ERROR_REPORTING="false",
            WANDB_MODE="offline",
        )
    )
    (written,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    content = written.read_bytes()
    assert all(name.rpartition("/")[2].encode() in content for name in sent)
    (figure,) = tmp_path.glob("wandb/offline-run-*/files/media/plotly/**/*.json")
    assert len(json.loads(figure.read_text())["data"]) >= 2


def test_mlflow(in_a_process: Callable[..., str], tmp_path: Path) -> None:
    foreign("mlflow")
    found = in_a_process(
        "import json, mlflow\n"
        "from diagnostics.integrations import mlflow as to_mlflow\n"
        "with mlflow.start_run() as run:\n"
        "    to_mlflow.forward(w, run)\n"
        "    sent = to_mlflow.forward(w, run, 7, figures=['profile'])\n"
        "client = mlflow.MlflowClient()\n"
        "for name, value in sent.items():\n"
        "    history = client.get_metric_history(run.info.run_id, name)\n"
        "    assert sorted((one.step, one.value) for one in history) == [(2, value), (7, value)], history\n"
        "def read(name):\n"
        "    return mlflow.artifacts.load_text(f'{run.info.artifact_uri}/gradreach/{name}')\n"
        "assert w.verdict.sentence in read('verdict.md')\n"
        "page = read('profile.html')\n"
        "assert 'cdn' not in page.partition('<script')[0] and len(page) > 1_000_000\n"
        "print(json.dumps(sent))\n",
        MLFLOW_TRACKING_URI=(tmp_path / "mlruns").as_uri(),
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_ALLOW_FILE_STORE="true",
        DO_NOT_TRACK="true",
    )
    assert set(json.loads(found.splitlines()[-1])) <= NAMES


def test_trackio(in_a_process: Callable[..., str], tmp_path: Path) -> None:
    foreign("trackio", pinned=False)
    found = in_a_process(
        "import json, trackio\n"
        "from diagnostics.integrations import trackio as to_trackio\n"
        "run = trackio.init(project='test', name='mine')\n"
        "to_trackio.forward(w, run)\n"
        "sent = to_trackio.forward(w, run, 7, figures=['profile'])\n"
        "trackio.finish()\n"
        "from trackio.sqlite_storage import SQLiteStorage\n"
        "rows = SQLiteStorage.get_logs('test', 'mine')\n"
        "assert [row['step'] for row in rows] == [2, 7], rows\n"
        "for row in rows:\n"
        "    assert {name: row[name] for name in sent} == sent, row\n"
        "assert rows[1]['gradreach/profile']['_type'] == 'trackio.html'\n"
        "print(json.dumps(sent))\n",
        TRACKIO_DIR=str(tmp_path / "trackio"),
        HF_HUB_OFFLINE="1",
        GRADIO_ANALYTICS_ENABLED="False",
    )
    assert set(json.loads(found.splitlines()[-1])) <= NAMES
    (page,) = (tmp_path / "trackio").glob("**/*.html")
    assert page.stat().st_size > 1_000_000


@pytest.mark.parametrize("package", ["lightning", "transformers", "tensorboard", "wandb", "mlflow", "trackio"])
def test_a_missing_package_is_a_sentence_that_names_the_extra(
    package: str, watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "pytorch_lightning", raising=False)
    ours = f"diagnostics.integrations.{package}"
    monkeypatch.delitem(sys.modules, ours, raising=False)
    sentence = rf'{ours} needs {package}, which is not installed: pip install "gradreach\[{package}\]"'

    def use() -> None:
        module = importlib.import_module(ours)
        module.writer("nowhere") if package == "tensorboard" else module.forward(watched, None)

    with pytest.raises(ModuleNotFoundError, match=sentence):
        use()


def test_a_package_that_lacks_one_of_its_own_says_so_itself() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'nltk\.no_such_part'"):
        needed("nltk.no_such_part", "wandb")


def test_nothing_to_send_is_nothing_sent(tmp_path: Path) -> None:
    from torch import nn

    with watch(nn.LSTM(2, 3), store=False) as w:
        assert sending.numbers(w) == {}
        assert sending.last_step(w) == 0
