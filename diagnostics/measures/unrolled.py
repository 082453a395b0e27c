"""The plain recurrence in numbers: forward, and every gradient that flows through its unrolled graph.

h_t = tanh(W_hh h_{t−1} + W_xh x_t), y_t = W_hy h_t for t = 1 … T, and L = Σ_t ½ ‖y_t − d_t‖² over the steps that are
asked. No biases, as the recurrence is first met. Backward (Werbos 1990), with e_t = ∂L/∂y_t = y_t − d_t where asked:

    g_t = ∂L/∂h_t = W_hyᵀ e_t + W_hhᵀ δ_{t+1},   δ_t = ∂L/∂a_t = (1 − h_t²) ⊙ g_t
    ∂L/∂W_hh = Σ_t δ_t h_{t−1}ᵀ,   ∂L/∂W_xh = Σ_t δ_t x_tᵀ,   ∂L/∂W_hy = Σ_t e_t h_tᵀ,   ∂L/∂x_t = W_xhᵀ δ_t

Letters: T timesteps, H hidden size, I input size, O outputs. Numpy only, float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from diagnostics.records import Array

Wiring = Literal["many-to-many", "many-to-one", "one-to-many"]
WIRINGS: tuple[Wiring, ...] = ("many-to-many", "many-to-one", "one-to-many")


@dataclass(frozen=True)
class Net:
    """``w_hh`` [H,H], ``w_xh`` [H,I], ``w_hy`` [O,H] and the state before the first step, ``h_0`` [H]."""

    w_hh: Array
    w_xh: Array
    w_hy: Array
    h_0: Array

    def __post_init__(self) -> None:
        H = len(self.h_0)
        for name, wanted in (("w_hh", (H, H)), ("w_xh", (H, self.w_xh.shape[-1])), ("w_hy", (len(self.w_hy), H))):
            if getattr(self, name).shape != wanted:
                raise ValueError(f"{name} must have the shape {wanted}, but got {getattr(self, name).shape}")


PARTS = tuple(field.name for field in fields(Net))


@dataclass(frozen=True)
class Unrolled:
    """All there is in the graph; row t − 1 is step t, except in ``h`` and ``grad_h``, whose row t is step t.

    ``a`` [T,H] sums before the tanh, ``h`` [T+1,H], ``y`` [T,O], ``loss`` [T] (0 where nothing is asked);
    ``grad_y`` [T,O]; ``direct`` [T,H] the part of ∂L/∂h_t from its own answer; ``back`` [T,H] the part of ∂L/∂h_{t−1}
    that comes back from step t; ``grad_h`` [T+1,H] the whole; ``grad_a`` [T,H] δ_t; ``grad_x`` [T,I]; and what step t
    adds to the gradient of each shared matrix, ``grad_w_hh`` [T,H,H], ``grad_w_xh`` [T,H,I], ``grad_w_hy`` [T,O,H].
    """

    a: Array
    h: Array
    y: Array
    loss: Array
    grad_y: Array
    direct: Array
    back: Array
    grad_h: Array
    grad_a: Array
    grad_x: Array
    grad_w_hh: Array
    grad_w_xh: Array
    grad_w_hy: Array

    def of(self, part: str) -> Array:
        """The gradient of the whole loss with respect to one of ``PARTS``, in its shape."""
        return np.asarray(self.grad_h[0] if part == "h_0" else getattr(self, f"grad_{part}").sum(axis=0))


def fed(wiring: Wiring, T: int) -> Array:
    """At which steps an input enters, as booleans [T]: one-to-many, at the first alone."""
    return np.asarray(np.arange(T) == 0) if wiring == "one-to-many" else np.ones(T, dtype=bool)


def asked(wiring: Wiring, T: int) -> Array:
    """At which steps an answer is asked for, as booleans [T]: many-to-one, at the last alone."""
    return np.asarray(np.arange(T) == T - 1) if wiring == "many-to-one" else np.ones(T, dtype=bool)


def unroll(net: Net, x: Array, wanted: Array, wiring: Wiring = "many-to-many") -> Unrolled:
    """Go forward over ``x`` [T,I] and back from the answers ``wanted`` [T,O].

    Inputs that the wiring does not feed count as zeros, answers that it does not ask for are not looked at. Raises
    ``ValueError`` where the wiring is unknown or the shapes do not fit.
    """
    if wiring not in WIRINGS:
        raise ValueError(f"wiring must be one of {', '.join(WIRINGS)}, but got {wiring!r}")
    T = len(x)
    for name, values, shape in (("x", x, (T, net.w_xh.shape[1])), ("wanted", wanted, (T, len(net.w_hy)))):
        if T < 1 or values.shape != shape:
            raise ValueError(f"{name} must have the shape {(max(T, 1), shape[1])}, but got {values.shape}")
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is shown as such
        return _through(net, np.where(fed(wiring, T)[:, None], x, 0.0), wanted, asked(wiring, T)[:, None])


def _through(net: Net, x: Array, wanted: Array, wants: Array) -> Unrolled:
    T, H = len(x), len(net.h_0)
    a, h = np.zeros((T, H)), np.zeros((T + 1, H))
    h[0] = net.h_0
    for t in range(T):
        a[t] = net.w_hh @ h[t] + net.w_xh @ x[t]
        h[t + 1] = np.tanh(a[t])
    y = h[1:] @ net.w_hy.T
    grad_y = np.where(wants, y - wanted, 0.0)
    direct = grad_y @ net.w_hy
    grad_h, grad_a, back = np.zeros((T + 1, H)), np.zeros((T, H)), np.zeros((T, H))
    for t in reversed(range(T)):
        grad_h[t + 1] = direct[t] + (back[t + 1] if t + 1 < T else 0.0)
        grad_a[t] = (1 - h[t + 1] ** 2) * grad_h[t + 1]
        back[t] = net.w_hh.T @ grad_a[t]
    grad_h[0] = back[0]
    return Unrolled(
        a=a,
        h=h,
        y=y,
        loss=0.5 * (grad_y**2).sum(axis=1),
        grad_y=grad_y,
        direct=direct,
        back=back,
        grad_h=grad_h,
        grad_a=grad_a,
        grad_x=grad_a @ net.w_xh,
        grad_w_hh=grad_a[:, :, None] * h[:-1, None, :],
        grad_w_xh=grad_a[:, :, None] * x[:, None, :],
        grad_w_hy=grad_y[:, :, None] * h[1:, None, :],
    )


def descend(
    net: Net,
    x: Array,
    wanted: Array,
    wiring: Wiring,
    *,
    learn: Sequence[str],
    rate: float,
    updates: int,
) -> tuple[Net, Array]:
    """Plain gradient descent on the ``learn`` of ``PARTS`` alone: the net after it, and the loss before each update
    and at the end, [updates + 1]. Raises ``ValueError`` where a part is unknown."""
    if unknown := set(learn) - set(PARTS):
        raise ValueError(f"learn must be among {', '.join(PARTS)}, but got {', '.join(sorted(unknown))}")
    losses = np.zeros(updates + 1)
    for update in range(updates):
        now = unroll(net, x, wanted, wiring)
        losses[update] = now.loss.sum()
        with np.errstate(over="ignore", invalid="ignore"):  # a rate that is too high diverges: the losses say so
            net = replace(net, **{part: getattr(net, part) - rate * now.of(part) for part in learn})
    losses[-1] = unroll(net, x, wanted, wiring).loss.sum()
    return net, losses
