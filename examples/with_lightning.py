"""Lightning, watched by a callback: two layers of GRU that must add the two marked numbers of fifty.

    pip install ".[lightning]"
    python examples/with_lightning.py

About half a minute. Clipping is Lightning's own, and gradients are accumulated over two batches: what is printed says
which gradient was measured.
"""

import argparse
import warnings

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from diagnostics.integrations.lightning import GradReach

T, HIDDEN, BATCH = 50, 48, 32


def numbers(count: int) -> TensorDataset:
    """The adding problem (Hochreiter and Schmidhuber, 1997): [count,T,2] numbers and marks, and the sum [count,1] of
    the two marked ones, of which one is in each half."""
    x = torch.rand(count, T, 2)
    x[:, :, 1] = 0
    rows = torch.arange(count)
    first, second = torch.randint(T // 2, (count,)), T // 2 + torch.randint(T - T // 2, (count,))
    x[rows, first, 1] = x[rows, second, 1] = 1
    return TensorDataset(x, (x[rows, first, 0] + x[rows, second, 0])[:, None])


class Adding(pl.LightningModule):
    """An ordinary module: nothing in it knows of the watching."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, HIDDEN, num_layers=2, batch_first=True)
        self.answer = nn.Linear(HIDDEN, 1)

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """The mean squared error."""
        x, y = batch
        states, _ = self.gru(x)
        return nn.functional.mse_loss(self.answer(states[:, -1]), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def main() -> None:
    """Train, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="training steps (default 300)")
    parser.add_argument("--store", help="folder of the runs (default $GRADREACH_STORE, else ./runs)")
    asked = parser.parse_args()

    # Lightning's remarks on how the data are loaded, which for a tensor in memory is just right.
    warnings.filterwarnings("ignore", module=r"lightning\.pytorch")
    pl.seed_everything(0, verbose=False)
    reach = GradReach(every=10, name="Lightning, adding", store=asked.store)
    trainer = pl.Trainer(
        callbacks=[reach],
        max_steps=asked.steps,
        gradient_clip_val=1.0,
        accumulate_grad_batches=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Adding(), DataLoader(numbers(4096), batch_size=BATCH, shuffle=True))

    w = reach.watch
    newest = w.runs[0].records["loss"][-20:]
    print(f"Loss at the end {newest.mean():.3f}; always saying 1 gives 0.167.")
    print(w.verdict.sentence)
    print(w.table())
    print(w.overhead.sentence)
    print("In the app: make app, the page Your model, or any other page beside the Lab's runs.")


if __name__ == "__main__":
    main()
