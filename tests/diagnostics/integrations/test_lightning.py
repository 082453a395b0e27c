"""The callback in Lightning's own Trainer: which gradient it measures, and that it leaves everything as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics import Watch
from tests.diagnostics.integrations.small import ROOT, H, I, batches, foreign, norm

# Lightning's remarks: how data are loaded, where it keeps what it logs, and what torch says of its use of pytrees.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:::lightning\.(pytorch|fabric)"),
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated"),
]


@pytest.fixture(scope="module")
def pl() -> Any:
    return foreign("lightning.pytorch")


def grad_reach(**options: Any) -> Any:
    from diagnostics.integrations.lightning import GradReach

    return GradReach(**{"every": 1, "store": False, **options})


def module_of(pl: Any, **overrides: Any) -> Any:
    """A LightningModule; ``overrides`` are methods and attributes of its class."""

    def training_step(self: Any, batch: Any, index: int) -> Tensor:
        x, y = batch
        loss = nn.functional.cross_entropy(self.out(self.lstm(x)[0][:, -1]), y)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self: Any) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
        optimizer.register_step_post_hook(lambda *_: self.seen_by_optimizer.append(norm(self.parameters())))
        return optimizer

    made = {"training_step": training_step, "configure_optimizers": configure_optimizers, **overrides}
    module = type("Module", (pl.LightningModule,), made)()
    torch.manual_seed(0)
    module.lstm, module.out = nn.LSTM(I, H, batch_first=True), nn.Linear(H, 2)
    module.losses, module.seen_by_optimizer = [], []
    return module


def fit(pl: Any, module: Any, *callbacks: Any, steps: int = 6, **options: Any) -> Any:
    trainer = pl.Trainer(
        callbacks=list(callbacks),
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, torch.utils.data.DataLoader(batches(steps), batch_size=None))
    return trainer


def before_clipping(pl: Any) -> Any:
    """Somebody else's callback that measures where no clipping has been done yet."""

    class Before(pl.Callback):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            self.norms: list[float] = []

        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            self.norms.append(norm(pl_module.parameters()))

    return Before()


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    ("clip", "rule"),
    [
        ({}, "none"),
        ({"gradient_clip_val": 0.05}, "norm:0.05"),
        ({"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}, "value:0.01"),
    ],
)
def test_norms_are_before_and_after_lightnings_clipping(
    pl: Any, accumulate: int, clip: dict[str, Any], rule: str
) -> None:
    module, reach, before = module_of(pl), grad_reach(), before_clipping(pl)
    fit(pl, module, before, reach, accumulate_grad_batches=accumulate, **clip)
    run = reach.watch.runs[0]
    assert run.spec["clip"] == rule
    assert len(run.records["step"]) == 6 // accumulate == run.records.rows("profile")
    np.testing.assert_allclose(run.records["grad_norm_pre"], before.norms, rtol=1e-6)
    np.testing.assert_allclose(run.records["grad_norm_post"], module.seen_by_optimizer, rtol=1e-6)
    mean_losses = np.asarray(module.losses).reshape(-1, accumulate).mean(1)
    np.testing.assert_allclose(run.records["loss"], mean_losses, rtol=1e-6)
    assert ("last of 2 backward passes" in reach.watch.meaning) == (accumulate == 2)
    assert max(reach.watch.self_check.values()) < 1e-5
    assert "self_check" not in [event.kind for event in reach.watch.events]


def test_the_training_is_that_without_it(pl: Any) -> None:
    alone, watched = module_of(pl), module_of(pl)
    for module, callbacks in ((alone, ()), (watched, (grad_reach(every=2),))):
        fit(pl, module, *callbacks, precision="64-true", gradient_clip_val=0.05)
    for name, parameter in alone.named_parameters():
        torch.testing.assert_close(parameter, watched.get_parameter(name), rtol=1e-12, atol=1e-14)


def test_the_loss_scale_is_undone(pl: Any) -> None:
    from lightning.pytorch.plugins import MixedPrecision

    class ScaledOnly(MixedPrecision):  # half precision itself is not what this is about
        def autocast_context_manager(self) -> Any:
            return torch.autocast("cpu", enabled=False)

    plain, scaled = grad_reach(), grad_reach()
    fit(pl, module_of(pl), plain, gradient_clip_val=0.05)
    plugin = ScaledOnly("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**9))
    before, module = before_clipping(pl), module_of(pl)
    fit(pl, module, scaled, before, gradient_clip_val=0.05, plugins=[plugin])
    ours, theirs = scaled.watch.runs[0].records, plain.watch.runs[0].records
    for name in ("loss", "grad_norm_pre", "grad_norm_post", "grad_h"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5)
    np.testing.assert_allclose(ours["grad_norm_pre"], before.norms, rtol=1e-6)
    assert "loss scale undone" in scaled.watch.meaning


def test_an_exception_ends_the_run_and_leaves_the_module_as_it_was(pl: Any) -> None:
    def fails(self: Any, batch: Any, index: int) -> Tensor:
        if index == 3:
            raise RuntimeError("out of patience")
        loss: Tensor = self.out(self.lstm(batch[0])[0][:, -1]).square().mean()
        return loss

    module, reach = module_of(pl, training_step=fails), grad_reach()
    before = set(module.__dict__), set(module.lstm.__dict__)
    with pytest.raises(RuntimeError, match="out of patience"):
        fit(pl, module, reach)
    run = reach.watch.runs[0]
    assert (run.state, run.detail) == ("failed", "RuntimeError: out of patience")
    assert len(run.records["step"]) == 3
    assert "configure_gradient_clipping" not in module.__dict__
    assert set(module.lstm.__dict__) == before[1]
    assert not any(p._post_accumulate_grad_hooks for p in module.parameters())
    module.__class__.training_step = module_of(pl).__class__.training_step
    fit(pl, module, reach)  # once more, with the same callback
    assert reach.watch.runs[0].state == "finished"
    assert "configure_gradient_clipping" not in module.__dict__


def test_clipping_of_the_modules_own_is_measured_and_not_named(pl: Any) -> None:
    def halve(self: Any, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None) -> None:
        for parameter in self.parameters():
            parameter.grad *= 0.5

    module, reach = module_of(pl, configure_gradient_clipping=halve), grad_reach()
    fit(pl, module, reach)
    run = reach.watch.runs[0]
    assert run.spec["clip"] == ""
    np.testing.assert_allclose(run.records["grad_norm_post"], run.records["grad_norm_pre"] / 2, rtol=1e-6)
    np.testing.assert_allclose(run.records["grad_norm_post"], module.seen_by_optimizer, rtol=1e-6)


def test_a_training_step_without_a_loss_is_no_step(pl: Any) -> None:
    usual = module_of(pl).__class__.training_step

    def skips(self: Any, batch: Any, index: int) -> Tensor | None:
        return None if index == 2 else usual(self, batch, index)

    reach = grad_reach()
    with pytest.warns(UserWarning, match="training_step"):
        fit(pl, module_of(pl, training_step=skips), reach)
    assert len(reach.watch.runs[0].records["step"]) == 5


def test_what_cannot_be_followed_is_refused(pl: Any) -> None:
    manual = module_of(pl)
    manual.automatic_optimization = False
    with pytest.raises(ValueError, match=r"automatic_optimization = False: call diagnostics\.watch and w\.step"):
        fit(pl, manual, grad_reach())
    sharded = SimpleNamespace(strategy=type("FSDPStrategy", (), {})())
    with pytest.raises(ValueError, match="FSDPStrategy shards them"):
        grad_reach().on_fit_start(sharded, module_of(pl))
    with pytest.raises(ValueError, match="every must be a whole number from 1, but got 0"):
        grad_reach(every=0)
    with pytest.raises(ValueError, match="forward must be a function"):
        grad_reach(forward="tensorboard")
    with pytest.raises(RuntimeError, match="once training has begun"):
        _ = grad_reach().watch


def test_forward_is_called_as_often_as_lightning_logs_and_at_the_end(pl: Any) -> None:
    seen: list[int] = []

    def forward(w: Watch, step: int) -> None:
        assert w.newest
        seen.append(step)

    fit(pl, module_of(pl), grad_reach(forward=forward), steps=7, log_every_n_steps=3)
    assert seen == [3, 6, 7]


def test_a_forward_that_fails_is_a_warning_and_not_asked_again(pl: Any) -> None:
    def forward(w: Watch, step: int) -> None:
        raise OSError("the disk is full")

    reach = grad_reach(forward=forward)
    with pytest.warns(RuntimeWarning, match="forward raised OSError and is not called again") as said:
        fit(pl, module_of(pl), reach, log_every_n_steps=2)
    assert len([one for one in said if "forward raised" in str(one.message)]) == 1
    assert reach.watch.runs[0].state == "finished"


def test_the_older_package_takes_it_too() -> None:
    foreign("pytorch_lightning")
    code = (
        "import torch, pytorch_lightning as pl\n"
        "from torch import nn\n"
        "from diagnostics.integrations.lightning import GradReach\n"
        "class Module(pl.LightningModule):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.gru = nn.GRU(3, 4)\n"
        "    def training_step(self, batch, index):\n"
        "        return self.gru(batch)[0][-1].square().mean()\n"
        "    def configure_optimizers(self):\n"
        "        return torch.optim.SGD(self.parameters(), lr=0.1)\n"
        "assert issubclass(GradReach, pl.Callback)\n"
        "reach = GradReach(every=1, store=False)\n"
        "off = dict.fromkeys(['logger', 'enable_checkpointing', 'enable_progress_bar'], False)\n"
        "trainer = pl.Trainer(max_epochs=1, accelerator='cpu', callbacks=[reach], gradient_clip_val=1e-3, **off)\n"
        "batches = [torch.randn(9, 2, 3) for _ in range(3)]\n"
        "trainer.fit(Module(), torch.utils.data.DataLoader(batches, batch_size=None))\n"
        "run = reach.watch.runs[0]\n"
        "assert len(run.records['step']) == 3 and run.spec['clip'] == 'norm:0.001', run.spec\n"
        "assert (run.records['grad_norm_post'] < 0.00101).all() and (run.records['grad_norm_pre'] > 0.002).all()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
