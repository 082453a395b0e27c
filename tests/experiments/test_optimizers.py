import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments.grammar import OPTIMIZERS
from experiments.optimizers import MOMENTUM, SMOOTHING, optimizer

torch.set_num_threads(1)


def of_torch(name: str, parameter: torch.nn.Parameter, rate: float) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam([parameter], lr=rate)
    if name == "rmsprop":
        return torch.optim.RMSprop([parameter], lr=rate, alpha=SMOOTHING)
    return torch.optim.SGD([parameter], lr=rate, momentum=MOMENTUM if name == "momentum" else 0.0)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_step_is_that_of_torch_optim(name: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(37, generator=generator, dtype=dtype)
    theirs = torch.nn.Parameter(ours.clone())
    gradient = torch.zeros_like(ours)
    update, expected = optimizer(name, 0.01, ours, gradient), of_torch(name, theirs, 0.01)
    for scale in (1.0, 1e-6, 0.0, 1e3, 1.0, 1.0):
        gradient.copy_(scale * torch.randn(37, generator=generator, dtype=dtype))
        theirs.grad = gradient.clone()
        update()
        expected.step()
        rtol = 3e-6 if dtype == torch.float32 else 1e-13
        torch.testing.assert_close(ours, theirs.detach(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_a_number_reaches_its_own_parameter_alone(name: str, bad: float) -> None:
    parameters, gradient = torch.ones(5), torch.zeros(5)
    gradient[2] = bad
    optimizer(name, 0.01, parameters, gradient)()
    assert parameters.isfinite().tolist() == [True, True, False, True, True]


def test_making_ready_to_train_does_not_load_the_compiler() -> None:
    """torch._dynamo and sympy cost every worker more than a second, and nothing here uses them."""
    code = (
        "import sys; from experiments.training import warm_up; warm_up(); "
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
