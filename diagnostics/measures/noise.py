"""Signal to noise of the recurrent weights' gradient over the samples of a batch, per timestep.

Letters: T timesteps, B samples, H hidden size, G gates. g_b = B δ_b h_bᵀ is sample b's own gradient at a timestep (the
loss is a mean over the samples, which is undone), and ḡ their mean. Then

    signal to noise = ‖ḡ‖² / (tr Σ / B),   tr Σ = (Σ_b ‖g_b‖² − B ‖ḡ‖²) / (B − 1)

with ‖g_b‖ = B ‖δ_b‖ ‖h_b‖, so that no gradient is formed. tr Σ / B is the expected squared length of what chance adds
to ḡ: samples that have nothing in common give about 1, samples that agree give much more, and less than 1 means that
they cancel more than chance would.

Source: McCandlish, Kaplan, Amodei et al., "An empirical model of large-batch training", 2018, arXiv:1812.06162: it is
B divided by their simple noise scale tr Σ / |G|², with the sample's own moments.
"""

from __future__ import annotations

import numpy as np

from diagnostics.measures.weight_gradient import share_norms
from diagnostics.records import Array

_ROUNDING = 64 * np.finfo(np.float64).eps


def signal_to_noise(delta: Array, states: Array) -> Array:
    """The ratio per timestep, [T], of ``delta`` [T,B,G,H] and ``states`` h_{k−1} [T,B,H], over all gates together.

    Infinite where all samples have the same gradient to rounding; nan where every one is 0 (at the first step, whose
    state before is 0), where one is not finite, and where there is only one sample.
    """
    T, B = states.shape[:2]
    if B < 2:
        return np.full(T, np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        sizes = _lengths(delta.reshape(T, B, -1)) * _lengths(states)
        mean = share_norms(delta, states)[:, -1] / B
        largest = np.maximum(sizes.max(axis=1), mean)
        scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
        of_each = ((sizes / scale[:, None]) ** 2).sum(axis=1)  # B² Σ‖δ_b‖²‖h_b‖² without the B²: it cancels
        of_mean = (mean / scale) ** 2
        spread = of_each - B * of_mean
    spread = np.where(np.abs(spread) <= _ROUNDING * of_each, 0.0, np.maximum(spread, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(B * (B - 1) * of_mean / spread)


def _lengths(values: Array) -> Array:
    """‖values[t, b]‖ without squares that leave the range, [T,B]."""
    largest = np.abs(values).max(axis=2)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    return np.asarray(np.sqrt(((values / scale[..., None]) ** 2).sum(axis=2)) * scale)
