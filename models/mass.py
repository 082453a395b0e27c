"""What the probabilities that a word language model gives add up to, from its kept weights, in NumPy alone.

Heads are those of ``models.softmax``; letters: N contexts, H features, V words.
"""

from __future__ import annotations

import numpy as np

from models.inference import Array, Weights, entered, run


def mass(softmax: str, cell: str, weights: Weights, words: Array) -> Array:
    """Σ_w p(w) after every word of ``words`` [T,B], [N] with N = T·B, as a head of the kind ``softmax`` makes its p.

    Full, adaptive and hierarchical probabilities are made so that they add up to 1; noise contrast's exp s are not.
    Raises ``KeyError`` where the weights are of another network, or the kind is unknown.
    """
    states, _ = run(cell, weights, entered(weights, words))
    features = states.reshape(-1, states.shape[2])
    return _MASSES[softmax](features, {name: np.asarray(values, np.float64) for name, values in weights.items()})


def _full(features: Array, weights: Weights) -> Array:
    return np.asarray(np.exp(_log_softmax(_linear(features, weights, "head"))).sum(axis=1))


def _nce(features: Array, weights: Weights) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(_linear(features, weights, "head")).sum(axis=1))


def _hierarchical(features: Array, weights: Weights) -> Array:
    """Down the heap level by level: what is left of 1 at the leaves, beside what has gone to leaves above."""
    score = _linear(features, weights, "head.nodes")
    words = score.shape[1] + 1
    here, total, first = np.ones((len(features), 1)), np.zeros(len(features)), 1
    while first < 2 * words:
        inner = max(0, min(2 * first, words) - first)
        total = total + here[:, inner:].sum(axis=1)
        decided = score[:, first - 1 : first - 1 + inner]
        right = np.exp(-np.logaddexp(0.0, -decided))
        left = np.exp(-np.logaddexp(0.0, decided))
        here = np.stack([here[:, :inner] * left, here[:, :inner] * right], axis=2).reshape(len(features), -1)
        first *= 2
    return total


def _adaptive(features: Array, weights: Weights) -> Array:
    """The short list, and each cluster's probability shared out among its words."""
    table = weights["head.inner.head.weight"]
    shortlist = _log_softmax(features @ table.T)
    tails = sum(name.startswith("head.inner.tail.") for name in weights) // 2
    total = np.exp(shortlist[:, : len(table) - tails]).sum(axis=1)
    for tail in range(tails):
        few, rows = (weights[f"head.inner.tail.{tail}.{part}.weight"] for part in (0, 1))
        within = np.exp(_log_softmax(features @ few.T @ rows.T)).sum(axis=1)
        total = total + np.exp(shortlist[:, len(table) - tails + tail]) * within
    return np.asarray(total)


_MASSES = {"full": _full, "adaptive": _adaptive, "hierarchical": _hierarchical, "nce": _nce}


def _linear(features: Array, weights: Weights, name: str) -> Array:
    return np.asarray(features @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def _log_softmax(scores: Array) -> Array:
    away = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(away - np.log(np.exp(away).sum(axis=1, keepdims=True)))
