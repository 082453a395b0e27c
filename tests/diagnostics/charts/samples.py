"""Synthetic runs with known numbers, for the tests of measures, charts and what is built on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from diagnostics.measures.entry_sizes import entry_sizes
from diagnostics.records import Records, Run, TaskFacts

_SENTENCE = (
    "when i was young i grew up in France and every morning we walked to the old market where my uncle sold bread and "
    "honey to people from the next village while the children played near the river until at last i speak fluent ___"
)
FRANCE = tuple(_SENTENCE.split(" "))


def france_facts(gap: int | None = None) -> TaskFacts:
    """The sentence, with its country ``gap`` steps before the blank (the sentence's own place where None)."""
    tokens = list(FRANCE)
    if gap is not None:
        filler = tokens[9:-4]
        tokens = tokens[:9] + [filler[i % len(filler)] for i in range(gap - 4)] + tokens[-4:]
    place, last = tokens.index("France"), len(tokens) - 1
    return TaskFacts(
        title="France … French",
        tokens=tuple(tokens),
        informative_steps=(place,),
        loss_step=last,
        distance=last - place,
        answer="French",
        loss_name="cross-entropy",
        chance_loss=float(np.log(12)),
        success_name="success",
        chance_success=1 / 12,
    )


def facts_of(length: int, distance: int) -> TaskFacts:
    """Facts of a symbol task with the loss at its last step."""
    return TaskFacts(
        title="Delayed recall",
        tokens=tuple("ABCDEF"[i % 6] for i in range(length)),
        informative_steps=(length - 1 - distance,),
        loss_step=length - 1,
        distance=distance,
        answer="1",
        loss_name="cross-entropy",
        chance_loss=float(np.log(2)),
        success_name="success",
        chance_success=0.5,
    )


def run_of(
    profiles: np.ndarray,
    *,
    facts: TaskFacts,
    name: str = "tanh",
    run_id: str = "r-000001",
    state: str = "finished",
    spec: Mapping[str, Any] | None = None,
    loss: np.ndarray | None = None,
    success: Sequence[float] = (),
    pre: np.ndarray | None = None,
    post: np.ndarray | None = None,
    steps: int | None = None,
    band: tuple[float, float] = (0.4, 2.2),
) -> Run:
    """A run whose median profiles by lag are ``profiles`` [P, K + 1]; everything else is filled in around them."""
    profiles = np.asarray(profiles, dtype=np.float64)
    count = len(profiles)
    T = len(facts.tokens)
    steps = steps if steps is not None else max(count, 1) * 10
    columns: dict[str, np.ndarray] = {"profile_step": np.linspace(0, max(steps - 1, 0), count).astype("i8")}
    if count:
        median = np.zeros((count, 1, T))
        median[:, 0, facts.loss_step :: -1] = profiles
        with np.errstate(invalid="ignore", over="ignore"):
            columns["state_grad"] = np.stack([band[0] * median, median, band[1] * median], axis=-1)
            columns["input_grad"] = columns["state_grad"][:, 0] * 0.3
        columns["grad_h"] = median
        columns["state_norm"] = np.ones((count, 1, T))
        columns["saturated"] = np.zeros((count, 1, T))
        spread = np.random.default_rng(5).normal(size=(count, 200)) * np.exp(np.linspace(-9, -3, 200))
        columns["grad_sizes"] = np.stack([entry_sizes(entries.astype(np.float32)) for entries in spread])
    rng = np.random.default_rng(3)
    loss = np.full(steps, facts.chance_loss) + rng.normal(0, 0.03, steps) if loss is None else loss
    steps = len(loss)
    pre = np.exp(rng.normal(0, 0.6, steps)) if pre is None else pre
    post = np.minimum(pre, 1.0) if post is None else post
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = np.where(pre > 0, post / pre, 1.0)
    columns |= {
        "step": np.arange(steps),
        "loss": loss,
        "grad_norm_pre": pre,
        "grad_norm_post": post,
        "clip_factor": factor,
        "nan_count": np.isnan(pre).astype("i8"),
        "inf_count": np.isinf(pre).astype("i8"),
        "zero_count": np.zeros(steps, "i8"),
        "wall_s": np.arange(steps) * 0.01,
        "eval_step": np.linspace(0, max(steps - 1, 0), len(success)).astype("i8"),
        "eval_success": np.asarray(success, dtype=np.float64),
        "eval_loss": np.interp(np.linspace(0, steps - 1, len(success)), np.arange(steps), loss)
        if steps
        else np.empty(0),
    }
    asked = {"task": "france", "cell": "tanh", "clip": "norm:1.0", "seed": 0, "learning_rate": 0.003, "steps": steps}
    return Run(
        id=run_id,
        name=name,
        state=state,
        spec={**asked, **(spec or {})},
        facts=facts,
        records=Records(columns),
        detail="",
        comparison="c-000001",
    )


def powers(alpha: float, lags: int, count: int = 20, scale: float = 0.1) -> np.ndarray:
    """Profiles φ_k = scale · α^k, [count, lags + 1]: the closed form of a linear network with W = αQ, Q orthogonal."""
    return np.tile(scale * alpha ** np.arange(lags + 1, dtype=np.float64), (count, 1))


def learning_curve(steps: int, start: float, solved_at: int, noise: float = 0.04, end: float = 1e-3) -> np.ndarray:
    """A loss that stays at ``start`` and falls to ``end`` around ``solved_at``."""
    x = np.arange(steps)
    shape = end + (start - end) / (1 + np.exp((x - solved_at) / (0.06 * steps)))
    return shape * np.exp(np.random.default_rng(1).normal(0, noise, steps))


def _noisy(make: Callable[[int], np.ndarray], count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.stack([make(i) for i in range(count)])
    walk = np.cumsum(rng.normal(0, 0.06, rows.shape), axis=1)
    return rows * np.exp(walk - walk[:, :1])


def story(gap: int = 40, steps: int = 500, count: int = 120) -> list[Run]:
    """The newcomer's comparison: tanh, ReLU, GRU and LSTM on France, as real runs look, each told by its numbers."""
    facts = france_facts(gap)
    k = np.arange(facts.loss_step + 1)
    solved = np.linspace(0, 1, count)
    fading = {
        "tanh": lambda i: 0.08 * (0.60 + 0.06 * solved[i]) ** k,
        "relu": lambda i: 0.07 * (0.52 + 0.05 * solved[i]) ** k * (k < 30),
        "gru": lambda i: 0.06 * np.exp(-4 * solved[i]) * (0.90 + 0.09 * min(1, 2 * solved[i])) ** k,
        "lstm": lambda i: 0.09 * np.exp(-5 * solved[i]) * (0.94 + 0.055 * min(1, 2 * solved[i])) ** k,
    }
    names = {"tanh": "tanh", "relu": "ReLU", "gru": "GRU", "lstm": "LSTM"}
    runs = []
    for i, (cell, make) in enumerate(fading.items()):
        learns = cell in ("gru", "lstm")
        solved_at = 200 if cell == "gru" else 140
        x = np.linspace(0, steps, 26)
        success = 1 / 12 + (11 / 12) / (1 + np.exp(-(x - solved_at) / 22)) if learns else 0.083 + 0.01 * np.sin(x)
        runs.append(
            run_of(
                _noisy(make, count, i),
                facts=facts,
                name=f"{names[cell]} · clip norm 1 · seed 0",
                run_id=f"r-{cell}01",
                spec={"cell": cell, "gate_bias": {"gru": 2.0, "lstm": 3.0}.get(cell), "init": "torch"},
                loss=learning_curve(steps, np.log(12), solved_at) if learns else None,
                success=success.tolist(),
                steps=steps,
            )
        )
    return runs


def seeds_story(seeds: Sequence[int] = (0, 1, 2)) -> list[Run]:
    """tanh and LSTM over seeds that lie apart by known factors: seed s decays by 0.02 s more per step."""
    facts = france_facts(40)
    k = np.arange(facts.loss_step + 1)
    return [
        run_of(
            np.tile(0.1 * (base - 0.02 * seed) ** k, (5, 1)),
            facts=facts,
            name=f"{cell} · seed {seed}",
            run_id=f"r-{cell}{seed}",
            spec={"cell": cell, "seed": seed},
            success=[1 / 12, 0.5 + 0.1 * seed, 0.7 + 0.1 * seed],
            steps=50,
        )
        for cell, base in (("tanh", 0.7), ("lstm", 0.99))
        for seed in seeds
    ]
