"""Runs as watching a model leaves them in the store: no task, no held-out set, and no loss unless it was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diagnostics.records import TaskFacts
from diagnostics.store import Store

T, STEPS, EVERY = 30, 40, 5


def spec(module: str = "encoder", cell: str = "lstm", layers: int = 2, **more: Any) -> dict[str, Any]:
    names = {"lstm": "torch.nn.LSTM", "gru": "torch.nn.GRU", "tanh": "torch.nn.RNN"}
    watched = {
        "module": module,
        "class": names.get(cell, f"mine.{cell}"),
        "direction": "forward",
        "every": EVERY,
        "reduction": "mean",
        "timesteps": T,
        "answers": 1,
        "cuts": [],
    }
    return {
        "watched": {**watched, **more.pop("watched", {})},
        "cell": cell,
        "layers": layers,
        "hidden": 16,
        "bidirectional": False,
        "clip": "norm:1.0",
        "steps": 0,
        **more,
    }


def facts(timesteps: int = T) -> TaskFacts:
    tokens = tuple(f"t{t}" for t in range(timesteps))
    return TaskFacts("my run", tokens, (), timesteps - 1, timesteps - 1, "", "loss", np.nan, "success", np.nan)


def records(layers: int, decay: float, loss: bool, steps: int = STEPS, first: int = 0) -> dict[str, Any]:
    step = np.arange(first, first + steps)
    pre = 1.0 + 0.9 * np.sin(step / 3)
    post = np.minimum(pre, 1.0)
    zeros = np.zeros(steps, np.int64)
    columns: dict[str, Any] = {
        "step": step,
        "loss": 1 / (1 + step / 10) if loss else np.full(steps, np.nan),
        "grad_norm_pre": pre,
        "grad_norm_post": post,
        "clip_factor": post / pre,
        "nan_count": zeros,
        "inf_count": zeros,
        "zero_count": zeros,
        "wall_s": step / 100.0,
        "profile_step": step[::EVERY],
    }
    by_lag = decay ** np.arange(T)[::-1]
    profile = np.tile(by_lag[:, None] * np.array([0.5, 1.0, 2.0]), (len(step[::EVERY]), layers, 1, 1))
    columns |= {
        "state_grad": profile,
        "grad_h": profile[..., 1],
        "state_norm": np.ones_like(profile[..., 1]),
        "saturated": np.full_like(profile[..., 1], 0.1),
        "input_grad": profile[:, 0],
    }
    return columns


INFO: Mapping[str, Any] = {"gradreach": "0.6", "torch": "2.13.0"}


def watched_run(
    store: Store,
    name: str = "my run · encoder",
    *,
    comparison: str | None = None,
    decay: float = 0.8,
    loss: bool = False,
    state: str = "finished",
    info: Mapping[str, Any] = INFO,
    **of: Any,
) -> str:
    """The id of a run that was watched."""
    about = spec(**of)
    _, [run_id] = store.create([about], [name], "my run", comparison=comparison)
    writer = store.writer(run_id)
    writer.begin(facts(), dict(info))
    writer.append(records(about["layers"], decay, loss))
    writer.heartbeat()
    if state == "running":
        HELD.append(writer)
    else:
        writer.finish(state)
    return run_id


HELD: list[Any] = []
"""Writers of runs that are still growing: whoever lets go of one ends its run."""


def comparison_of(store: Store, groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Several recurrent parts of one model: a comparison."""
    ids: list[str] = []
    for one in groups:
        joined = store.row(ids[0]).comparison if ids else None
        ids.append(watched_run(store, comparison=joined, **one))
    return ids
