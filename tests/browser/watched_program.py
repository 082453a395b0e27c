"""Somebody's own training, watched: as many steps as each line of its input says, until there are no more lines."""

import sys

import torch
from torch import nn

from diagnostics import watch


class Model(nn.Module):
    """An encoder that reads in two directions, and a decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(2, 6, batch_first=True, bidirectional=True)
        self.decoder = nn.GRU(12, 6, batch_first=True)
        self.head = nn.Linear(6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.encoder(x)
        decoded, _ = self.decoder(hidden)
        return self.head(decoded[:, -1])


torch.manual_seed(0)
model = Model()
optimizer = torch.optim.SGD(model.parameters(), 0.1)
with watch(model, every=2, name="my own") as w:
    for line in sys.stdin:
        for _ in range(int(line)):
            x = torch.randn(4, 12, 2)
            optimizer.zero_grad()
            loss = (model(x) - x[:, 0, :1]).square().mean()
            loss.backward()
            w.step(optimizer, clip="norm:1.0")
        assert w.runs  # to ask for them writes what waits to be written
