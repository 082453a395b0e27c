"""Registers of other processors: the same loops with vectors of 8 and of 4 numbers, which LLVM makes here too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]

AGREE = """
import sys
from diagnostics.recurrence.fused import processor
processor.lanes, processor.registers = lambda: {lanes}, lambda: {registers}

import torch
from diagnostics import recurrence
from diagnostics.recurrence import paths, reference
from diagnostics.recurrence.fused import tile, vectors

torch.manual_seed(0)
for name, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
    for B, I, H in ((5, 3, 7), (9, 20, 33)):
        shapes = (6, B, I), (gates * H, I), (gates * H, H), (gates * H,), (gates * H,)
        x, *weights = (0.5 * torch.randn(shape, dtype=torch.float64) for shape in shapes)
        pass_on, found = torch.randn(6, B, H, dtype=torch.float64), []
        for module, kind in ((recurrence, torch.float32), (reference, torch.float64)):
            leaves = [tensor.to(kind).requires_grad_() for tensor in (x, *weights)]
            with paths.use("fused"):
                output = getattr(module, name)(leaves[0], None, *leaves[1:])[0]
            output.backward(pass_on.to(kind))
            found.append([output.detach(), *(leaf.grad for leaf in leaves)])
        for ours, exact in zip(*found, strict=True):
            error = (ours - exact).abs().max() / exact.abs().max()
            assert error < 3e-6, (name, B, I, H, float(error))
assert vectors.W == {lanes} and tile.ROWS == {rows}
print("agree")
"""


@pytest.mark.parametrize(("lanes", "registers", "rows"), [(8, 16, 2), (4, 32, 4)])
def test_other_widths_agree_with_the_twins(tmp_path, lanes, registers, rows):
    program = AGREE.format(lanes=lanes, registers=registers, rows=rows)
    environment = os.environ | {"GRADREACH_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "agree\n", done.stderr
