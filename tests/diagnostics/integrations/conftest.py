"""A finished watch, here and in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from diagnostics import Watch, watch
from tests.diagnostics.integrations.small import ROOT, H, I, T


@pytest.fixture(autouse=True)
def quiet() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def watched() -> Watch:
    """A finished watch of two directions, whose names have arrows in them."""
    lstm, out = nn.LSTM(I, H, bidirectional=True), nn.Linear(2 * H, 2)
    model = nn.ModuleDict({"my lstm": lstm, "out": out})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, every=1, store=False) as w:
        for _ in range(3):
            optimizer.zero_grad()
            states, _ = lstm(torch.randn(T, 4, I))
            out(states[-1]).square().sum().backward()
            w.step(optimizer, clip="norm:0.1")
    return w


@pytest.fixture
def in_a_process(tmp_path: Path) -> Callable[..., str]:
    """Runs code on such a watch in a process of its own, where a package may start what it wants; what it printed."""

    def run(code: str, **environment: str) -> str:
        begin = (
            "import torch\nfrom torch import nn\nfrom diagnostics import watch\n"
            "lstm = nn.LSTM(3, 6, bidirectional=True)\nmodel = nn.ModuleDict({'my lstm': lstm})\n"
            "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
            "with watch(model, every=1, store=False) as w:\n"
            "    for _ in range(3):\n"
            "        optimizer.zero_grad()\n"
            "        lstm(torch.randn(12, 4, 3))[0][-1].square().sum().backward()\n"
            "        w.step(optimizer, clip='norm:0.1')\n"
        )
        everything = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "OMP_NUM_THREADS": "1",
            **environment,
        }
        command = [sys.executable, "-W", "ignore", "-c", begin + code]
        done = subprocess.run(command, cwd=tmp_path, env=everything, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run
