"""The optimisers of a spec over one flat vector of parameters, through torch's functional forms.

The classes of ``torch.optim`` import torch's compiler, and with it sympy, when the first of them is made: about a
second of every worker's start, for machinery that is never used here. Their functions need none of it and do the same
arithmetic, those of Adam and SGD in one pass over memory. All of them act entry by entry, so that updating one vector
is updating every parameter.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

MOMENTUM = 0.9
SMOOTHING = 0.9
"""Of rmsprop: how much of the mean square each step keeps."""


def optimizer(name: str, rate: float, parameters: Tensor, gradient: Tensor) -> Callable[[], None]:
    """A function that updates ``parameters`` in place by what ``gradient`` holds at the time.

    ``name`` is one of ``experiments.spec.OPTIMIZERS``; ``rate`` the learning rate. What is not named here (Adam's two
    averages, every ε) is as in ``torch.optim``.
    """
    parameters = parameters.detach()
    mean, square, count = torch.zeros_like(parameters), torch.zeros_like(parameters), parameters.new_zeros(())

    def by_adam() -> None:
        adam(
            [parameters], [gradient], [mean], [square], [], [count], foreach=False, fused=True, amsgrad=False,
            beta1=0.9, beta2=0.999, lr=rate, weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip

    def by_rmsprop() -> None:
        rmsprop(
            [parameters], [gradient], [square], [], [], [count], foreach=False, lr=rate, alpha=SMOOTHING, eps=1e-8,
            weight_decay=0.0, momentum=0.0, centered=False,
        )  # fmt: skip

    def by_sgd(momentum: float) -> None:
        sgd(
            [parameters], [gradient], [mean if momentum else None], foreach=False, fused=True, weight_decay=0.0,
            momentum=momentum, lr=rate, dampening=0.0, nesterov=False, maximize=False,
        )  # fmt: skip

    if name == "adam":
        return by_adam
    if name == "rmsprop":
        return by_rmsprop
    return lambda: by_sgd(MOMENTUM if name == "momentum" else 0.0)
