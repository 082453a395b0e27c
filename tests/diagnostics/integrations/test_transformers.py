"""The callback in the Hugging Face Trainer: which gradient it measures, and that it leaves everything as it was."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics import Watch
from tests.diagnostics.integrations.small import H, I, batches, foreign, norm

# The Trainer's own remarks on versions to come, and on pinned memory where there is no device to pin it for.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:::(transformers|accelerate)\."),
    pytest.mark.filterwarnings(r"ignore:'pin_memory' argument"),
]


@pytest.fixture(scope="module")
def hf() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
            patch.setenv(name, "1")
        foreign("accelerate")
        foreign("transformers.trainer")
        yield foreign("transformers")


class Small(nn.Module):
    """An ordinary module that returns what the Trainer wants."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.out = nn.LSTM(I, H, batch_first=True), nn.Linear(H, 2)
        self.losses: list[float] = []
        self.fail_at = -1

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        if len(self.losses) == self.fail_at:
            raise RuntimeError("out of patience")
        logits = self.out(self.lstm(x)[0][:, -1])
        loss = nn.functional.cross_entropy(logits, labels)
        self.losses.append(loss.item())
        return {"loss": loss, "logits": logits}


def grad_reach(**options: Any) -> Any:
    from diagnostics.integrations.transformers import GradReach

    return GradReach(**{"every": 1, "store": False, **options})


def train(hf: Any, folder: Path, model: nn.Module, *callbacks: Any, steps: int = 6, **options: Any) -> list[float]:
    """Trains; the norms of the gradients that the optimiser saw."""
    seen: list[float] = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    optimizer.register_step_pre_hook(lambda *_: seen.append(norm(model.parameters())))
    data = [
        {"x": x, "labels": label}
        for batch in batches(steps, size=4)
        for x, label in zip(batch[0], batch[1], strict=True)
    ]
    usual = {
        "num_train_epochs": 1,
        "per_device_train_batch_size": 4,
        "report_to": "none",
        "use_cpu": True,
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 3,
        "dataloader_pin_memory": False,
    }
    arguments = hf.TrainingArguments(str(folder), **{**usual, **options})
    unchanging = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    trainer = hf.Trainer(
        model, arguments, train_dataset=data, callbacks=list(callbacks), optimizers=(optimizer, unchanging)
    )
    trainer.train()
    return seen


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(("clip", "rule"), [(0.0, "none"), (0.05, "norm:0.05")])
def test_norms_are_before_and_after_the_trainers_clipping(
    hf: Any, tmp_path: Path, accumulate: int, clip: float, rule: str
) -> None:
    model, reach = Small(), grad_reach()
    seen = train(hf, tmp_path, model, reach, max_grad_norm=clip, gradient_accumulation_steps=accumulate)
    run = reach.watch.runs[0]
    assert run.spec["clip"] == rule
    assert len(run.records["step"]) == 6 // accumulate == run.records.rows("profile")
    np.testing.assert_allclose(run.records["grad_norm_post"], seen, rtol=1e-6)
    if rule == "none":
        np.testing.assert_allclose(run.records["grad_norm_pre"], seen, rtol=1e-6)
    else:
        assert (run.records["grad_norm_pre"] > 0.06).all()
    if accumulate == 1:
        np.testing.assert_allclose(run.records["loss"], model.losses, rtol=1e-6)
    else:  # how the Trainer joins the losses is its own affair
        assert np.isnan(run.records["loss"]).all()
        assert "last of 2 backward passes" in reach.watch.meaning
    assert max(reach.watch.self_check.values()) < 1e-5
    assert "self_check" not in [event.kind for event in reach.watch.events]


def test_the_first_norm_before_clipping_is_that_of_plain_autograd(hf: Any, tmp_path: Path) -> None:
    model, alone, reach = Small(), Small(), grad_reach()
    seen: list[float] = []

    class Logged(hf.TrainerCallback):  # type: ignore[misc,name-defined]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> None:
            seen.extend([float(logs["grad_norm"])] if "grad_norm" in logs else [])

    train(hf, tmp_path, model, reach, Logged(), max_grad_norm=0.05, logging_steps=1)
    np.testing.assert_allclose(reach.watch.runs[0].records["grad_norm_pre"], seen, rtol=1e-5)
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())
    assert not model._forward_hooks
    assert set(model.lstm.__dict__) == set(alone.lstm.__dict__)


def test_the_training_is_that_without_it(hf: Any, tmp_path: Path) -> None:
    alone, watched = Small().double(), Small().double()
    doubled = [
        model.lstm.register_forward_pre_hook(lambda _, given: (given[0].double(),)) for model in (alone, watched)
    ]
    train(hf, tmp_path, alone, max_grad_norm=0.05)
    train(hf, tmp_path, watched, grad_reach(every=2), max_grad_norm=0.05)
    for handle in doubled:
        handle.remove()
    for name, parameter in alone.named_parameters():
        torch.testing.assert_close(parameter, watched.get_parameter(name), rtol=1e-12, atol=1e-14)


def test_the_loss_scale_is_undone() -> None:
    foreign("transformers.trainer_callback")
    reach, plain, scale = grad_reach(), grad_reach(), 2.0**9
    arguments = SimpleNamespace(n_gpu=0, gradient_accumulation_steps=1, max_grad_norm=0.05)
    state = SimpleNamespace(is_world_process_zero=True, global_step=0)
    for callback, factor in ((plain, 1.0), (reach, scale)):  # what the Trainer does under fp16, which needs a GPU
        model = Small()
        optimizer = SimpleNamespace(scaler=SimpleNamespace(get_scale=lambda factor=factor: factor))
        callback.on_train_begin(arguments, state, None, model=model)
        for x, labels in batches(2):
            model.zero_grad()
            (model(x, labels)["loss"] * factor).backward()
            for parameter in model.parameters():
                parameter.grad /= factor
            nn.utils.clip_grad_norm_(model.parameters(), 0.05)
            callback.on_pre_optimizer_step(arguments, state, None, optimizer=optimizer)
        callback.on_train_end(arguments, state, None)
    ours, theirs = (callback.watch.runs[0].records for callback in (reach, plain))
    for name in ("loss", "grad_norm_pre", "grad_norm_post", "grad_h"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5)
    assert "loss scale undone" in reach.watch.meaning


def test_an_exception_ends_the_run_where_the_block_ends(hf: Any, tmp_path: Path) -> None:
    model, reach = Small(), grad_reach()
    model.fail_at = 3
    with pytest.raises(RuntimeError, match="out of patience"), reach:
        train(hf, tmp_path, model, reach)
    run = reach.watch.runs[0]
    assert (run.state, run.detail, len(run.records["step"])) == ("failed", "RuntimeError: out of patience", 3)
    assert not model._forward_hooks
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


def test_a_training_that_follows_one_which_failed_begins_anew(hf: Any, tmp_path: Path) -> None:
    model, reach = Small(), grad_reach()
    model.fail_at = 3
    with pytest.raises(RuntimeError, match="out of patience"):
        train(hf, tmp_path, model, reach)
    model.fail_at = -1
    train(hf, tmp_path, model, reach)
    run = reach.watch.runs[0]
    assert (run.state, len(run.records["step"])) == ("finished", 6)
    assert not model._forward_hooks


def test_what_cannot_be_followed_is_refused(hf: Any) -> None:
    state = SimpleNamespace(is_world_process_zero=True)
    for args, sentence in (
        (SimpleNamespace(n_gpu=2), "puts the model on 2 of them in one"),
        (SimpleNamespace(n_gpu=1, deepspeed=None, fsdp=["full_shard"]), "fsdp is set, which shards them"),
    ):
        with pytest.raises(ValueError, match=sentence):
            grad_reach().on_train_begin(args, state, None, model=Small())


def test_forward_is_called_as_often_as_the_trainer_logs_and_at_the_end(hf: Any, tmp_path: Path) -> None:
    seen: list[int] = []

    def forward(w: Watch, step: int) -> None:
        assert w.newest
        seen.append(step)

    train(hf, tmp_path, Small(), grad_reach(forward=forward), steps=7)
    assert list(dict.fromkeys(seen)) == [3, 6, 7]
