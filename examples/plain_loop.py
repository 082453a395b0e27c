"""A plain torch loop, watched: an LSTM that must remember the first symbol of a sequence until the end.

    pip install .                       # the library alone: diagnostics, torch, numpy, plotly, filelock
    python examples/plain_loop.py
    python examples/plain_loop.py --forget-bias 4      # the same with a memory that starts open

About ten seconds each. The first command prints that the gradient fades on the way; the second that it arrives.
"""

import argparse

import torch
from torch import nn

from diagnostics import watch

SYMBOLS, T, BATCH, HIDDEN = 8, 60, 64, 64


class Recall(nn.Module):
    """Reads symbols [T,B], answers with the first of them after the last, as scores [B,SYMBOLS]."""

    def __init__(self, forget_bias: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(SYMBOLS, 16)
        self.lstm = nn.LSTM(16, HIDDEN)
        self.answer = nn.Linear(HIDDEN, SYMBOLS)
        with torch.no_grad():
            self.lstm.bias_hh_l0[HIDDEN : 2 * HIDDEN] += forget_bias  # torch's order of the gates: i, f, g, o

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores [B,SYMBOLS] for symbols [T,B]."""
        states, _ = self.lstm(self.embed(x))
        return self.answer(states[-1])


def main() -> None:
    """Train, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400, help="training steps (default 400)")
    parser.add_argument("--forget-bias", type=float, default=0.0, help="added to the forget gate's bias (default 0)")
    parser.add_argument("--store", help="folder of the runs (default $GRADREACH_STORE, else ./runs)")
    asked = parser.parse_args()

    torch.manual_seed(0)
    model = Recall(asked.forget_bias)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    name = f"plain loop, forget bias {asked.forget_bias:g}"
    with watch(model, every=10, name=name, distance=T - 1, store=asked.store) as w:
        for _ in range(asked.steps):
            x = torch.randint(SYMBOLS, (T, BATCH))
            scores = model(x)
            loss = nn.functional.cross_entropy(scores, x[0])
            optimizer.zero_grad()
            loss.backward()
            w.step(optimizer, clip="norm:1.0", loss=loss)  # in place of optimizer.step()

    right = float((scores.argmax(1) == x[0]).float().mean())
    print(f"Last loss {float(loss.detach()):.3f}, {right:.0%} right; knowing nothing gives {1 / SYMBOLS:.0%}.")
    print(w.verdict.sentence)
    print(w.table())
    print(w.overhead.sentence)
    print("In the app: make app, the page Your model, or any other page beside the Lab's runs.")


if __name__ == "__main__":
    main()
