"""Synthetic inspections with known numbers, for the tests of their figures."""

from __future__ import annotations

import numpy as np

from diagnostics.inspection import Inspection

KINDS = {"tanh": "rnn", "relu": "rnn", "sigmoid": "rnn", "identity": "rnn", "gru": "gru", "lstm": "lstm"}
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def inspection_of(
    cell: str = "tanh", *, L: int = 1, T: int = 12, B: int = 3, H: int = 5, seed: int = 0, **arrays: np.ndarray
) -> Inspection:
    """An inspection of ``cell`` with the loss at the last of T steps and the word that matters at step 2 (or 0).

    The state gradient falls by 0.7 a step back, exactly, with the samples 1, 2, … times as large; ``arrays`` replace
    what is made up, or leave it out where None.
    """
    rng = np.random.default_rng(seed)
    kind = KINDS[cell]
    G, S = GATES[kind], 2 * H if kind == "lstm" else H
    back = np.arange(T - 1, -1, -1)
    lags = np.unique(np.append(2 ** np.arange(max(T - 1, 1).bit_length()), T - 1))
    lags = lags[(lags >= 1) & (lags <= T - 1)]
    made: dict[str, np.ndarray | None] = {
        "h": rng.uniform(-1, 1, (L, T, B, H)).astype("f4"),
        "saturated": rng.uniform(0, 1, (L, T)),
        "state_grad": np.tile((0.1 * 0.7**back)[:, None] * np.arange(1, B + 1), (L, 1, 1)),
        "sigma_max": np.full(L, 1.2),
        "spectral_radius": np.full(L, 0.9),
        "gamma": np.full(L, np.nan if G > 1 else 0.25 if cell == "sigmoid" else 1.0),
        "eigenvalues": rng.normal(0, 0.5, (L, G, H, 2)),
        "decay": np.full(L, 0.7),
        "jacobian_steps": np.arange(min(1, T - 1), T),
        "singular_values": -np.sort(-np.exp(rng.normal(0, 1, (L, T - min(1, T - 1), S)))),
        "product_lags": lags,
        "product_singular_values": -np.sort(-rng.normal(-1, 1, (L, len(lags), S)) * lags[:, None]),
        "lyapunov": np.tile(np.linspace(-0.2, -2.0, S), (L, 1)),
        "lyapunov_error": np.full((L, S), 0.05),
    }
    if G > 1:
        made["gates"] = rng.uniform(0, 1, (L, G, T, B, H)).astype("f4")
    if kind == "lstm":
        made["c"] = rng.normal(0, 3, (L, T, B, H)).astype("f4")
    if cell == "relu":
        made |= {"h": np.abs(made["h"]), "dead": rng.uniform(0, 1, (L, T)), "never_on": np.full(L, 0.25)}
    made |= arrays
    word = min(2, T - 1)
    tokens = tuple(tuple("France" if t == word else f"w{t}<b>" for t in range(T)) for _ in range(B))
    return Inspection(
        run_id=f"r-{cell}",
        step=40,
        cell=cell,
        kind=kind,
        nonlinearity=cell if kind == "rnn" else "",
        layers=L,
        tokens=tokens,
        informative_steps=((word,),) * B,
        loss_step=T - 1,
        arrays={name: values for name, values in made.items() if values is not None},
    )
