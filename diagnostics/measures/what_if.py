"""What would clipping have done to the gradients that a run had? Every threshold at once, nothing trained again.

The answers are about the gradients that were recorded, before any clipping. A run that had been clipped otherwise
would have gone another way from the first clipped step on: what comes of that, only training tells.

By norm: g ← g · min(1, c / (‖g‖ + 1e-6)), from the recorded pre-clip norm of every training step. By value: every
entry cut to ±c, from the recorded sums of ``measures.entry_sizes``, exact at its edges. ``N`` training steps, ``C``
thresholds, ``P`` recorded profiles, ``K`` edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST, is_threshold
from diagnostics.measures.entry_sizes import BINS, EDGES
from diagnostics.measures.numbers import number, percent
from diagnostics.records import Array, Records

TORCH_EPSILON = 1e-6
"""``torch.nn.utils.clip_grad_norm_`` adds this to the norm that it divides by, and so does training here."""

PERCENTILES = (99, 90, 50)
"""Of the run's own norms: the thresholds that are suggested."""
OLD = "recorded without the sizes of the gradient's entries, which newer runs keep"
"""Why nothing can be said of clipping by value."""
_CLOSE, _FAR = 3.0, 10.0
"""Largest norm ÷ median: below the first nothing stands out, from the second on some stand far above the rest."""
_FEW, _TENTH, _ABOUT = 0.05, 0.2, 0.15
"""Shares of the steps: up to the first the largest alone, up to the second about a tenth, and so far from ½ a half."""


@dataclass(frozen=True)
class ByNorm:
    """What clipping by norm would have done at each threshold; arrays ``[C]``."""

    thresholds: Array
    share: Array
    """Share, 0 to 1, of the steps with a finite norm that would have been clipped."""
    median_factor: Array
    """Norm after ÷ before, median over the clipped steps; nan where none is."""
    least_factor: Array
    """The same of the step that is clipped hardest."""
    steps: int
    """Training steps with a finite norm."""
    broken: int
    """Training steps without one: no threshold repairs those, and they are in none of the shares."""


def by_norm(norms: Array, thresholds: Array) -> ByNorm:
    """Answer for pre-clip ``norms`` [N] at positive ``thresholds`` [C]; without a finite norm the shares are nan."""
    norms = np.asarray(norms, dtype=np.float64)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    ordered = np.sort(norms[np.isfinite(norms)]) + TORCH_EPSILON
    N = ordered.size
    if not N:
        nothing = np.full(thresholds.shape, np.nan)
        return ByNorm(thresholds, nothing, nothing, nothing, 0, norms.size)
    first = np.searchsorted(ordered, thresholds, side="right")  # the first step that is clipped, of N in order
    clipped = N - first
    # The clipped steps are the last of the order; their median factor is that of the middle one, or of the middle two.
    low, high = (np.minimum(first + (clipped - odd) // 2, N - 1) for odd in (1, 0))
    median_factor = 0.5 * thresholds / ordered[low] + 0.5 * thresholds / ordered[high]
    return ByNorm(
        thresholds,
        share=clipped / N,
        median_factor=np.where(clipped > 0, median_factor, np.nan),
        least_factor=np.where(clipped > 0, thresholds / ordered[-1], np.nan),
        steps=N,
        broken=norms.size - N,
    )


@dataclass(frozen=True)
class ByValue:
    """What cutting every entry to ±c would have done at each edge, per recorded profile with a gradient."""

    thresholds: Array
    """``[K]``."""
    cosine: Array
    """Between the gradient before and after, ``[P, K]``, 0 to 1: 1 keeps the direction."""
    share: Array
    """Share of the entries that are cut, 0 to 1, ``[P, K]``."""
    factor: Array
    """Norm after ÷ before, ``[P, K]``."""
    rows: Array
    """Which of the recorded profiles these are, ``[P]``: those whose gradient is finite and not exactly 0."""


def by_value(grad_sizes: Array) -> ByValue:
    """Answer from the column ``grad_sizes`` ``[profiles, BINS, 3]``."""
    sizes = np.asarray(grad_sizes, dtype=np.float64)
    known = np.isfinite(sizes).all(axis=(1, 2)) & (sizes[..., 2].sum(axis=1) > 0)
    count, total, squares = np.moveaxis(sizes[known], -1, 0)
    below = np.cumsum(squares, axis=1)[:, :-1]  # up to and with each edge
    above_count, above_total = (np.cumsum(part[:, ::-1], axis=1)[:, -2::-1] for part in (count, total))
    c = EDGES.astype(np.float64)
    whole = np.sqrt(squares.sum(axis=1, keepdims=True))
    after = np.sqrt(below + c**2 * above_count)
    cosine = (below + c * above_total) / (whole * after)
    return ByValue(
        thresholds=c,
        cosine=np.clip(cosine, 0.0, 1.0),
        share=above_count / count.sum(axis=1, keepdims=True),
        factor=np.minimum(after / whole, 1.0),
        rows=np.flatnonzero(known),
    )


@dataclass(frozen=True)
class Cut:
    """What cutting every entry to ±``threshold`` would have done, over the recorded steps: medians, and for the cosine
    the 5th and 95th percentiles too."""

    threshold: float
    share: float
    cosine: float
    cosine_p05: float
    cosine_p95: float
    factor: float


def cut_at(answer: ByValue, threshold: float) -> Cut:
    """Return the answer at the edge nearest to ``threshold``, which is above 0, on a log scale.

    ``answer`` holds at least one recorded profile.
    """
    k = int(np.argmin(np.abs(np.log(answer.thresholds / threshold))))
    low, middle, high = np.percentile(answer.cosine[:, k], [5, 50, 95])
    share, factor = float(np.median(answer.share[:, k])), float(np.median(answer.factor[:, k]))
    return Cut(float(f"{answer.thresholds[k]:.6g}"), share, float(middle), float(low), float(high), factor)


def sizes_of(records: Records) -> Array | None:
    """The recorded sizes of the entries; None where the run was recorded without them, or on another grid."""
    found = records.get("grad_sizes")
    return found if found is not None and found.shape[1:] == (BINS, 3) else None


@dataclass(frozen=True)
class Suggestion:
    """A threshold of the run's own scale, and why one might choose it."""

    percentile: int
    threshold: float
    """Rounded to two digits."""
    share: float
    """Of the steps, clipped at the rounded threshold."""
    reason: str


@dataclass(frozen=True)
class Suggested:
    """What the run's norms say about a threshold, and the thresholds, each once. There is none without a norm above 0,
    nor where clipping takes none of the run's own scale."""

    sentence: str
    suggestions: tuple[Suggestion, ...]


def suggest(norms: Array) -> Suggested:
    """Suggest thresholds for clipping by norm from pre-clip ``norms`` [N] of a run.

    The practice of choosing from the run's own norms: Pascanu, Mikolov and Bengio 2013, section 3.2, who found that
    half to ten times the average norm may do.
    """
    norms = np.asarray(norms, dtype=np.float64)
    usable = norms[np.isfinite(norms) & (norms > 0)]
    if not usable.size:
        return Suggested("No recorded norm is finite and above 0: there is nothing to choose a threshold from.", ())
    found: dict[str, Suggestion] = {}  # by reason: thresholds that do the same are one
    left_out = False
    for percentile in PERCENTILES:
        threshold = float(f"{np.percentile(usable, percentile):.1e}")
        if not is_threshold(threshold):
            left_out = True
            continue
        answer = by_norm(usable, np.array([threshold]))
        reason = _reason(answer)
        found.setdefault(reason, Suggestion(percentile, threshold, float(answer.share[0]), reason))
    return Suggested(_spread(usable) + _left_out(bool(found)) * left_out, tuple(found.values()))


def _spread(usable: Array) -> str:
    median, largest = float(np.median(usable)), float(usable.max())
    if usable.size == 1:
        return f"One norm alone is finite and above 0 ({number(largest)}): nothing says whether it is a usual one."
    ratio = largest / median
    norms = f"The largest norm ({number(largest)}) is {number(ratio)} times the median ({number(median)})"
    if number(ratio) == "1":
        norms = f"The largest norm is as good as the median ({number(median)})"
    if ratio < _CLOSE:
        return f"{norms}: there is no spike to catch, and a threshold that engages shortens ordinary steps."
    if ratio < _FAR:
        return f"{norms}: the norms vary, with no spike far from the rest."
    return f"{norms}: the largest stand far above the rest, and a threshold between the two shortens those first."


def _left_out(others: bool) -> str:
    what = "Some thresholds" if others else "Every threshold"
    return (
        f" {what} of this scale {'are' if others else 'is'} left out: clipping takes none below "
        f"{number(THRESHOLD_LEAST)} or above {number(THRESHOLD_MOST)}."
    )


def _reason(answer: ByNorm) -> str:
    """Why one might choose the one threshold of ``answer``: in words of what it would do, wherever it comes from."""
    share, least = float(answer.share[0]), number(float(answer.least_factor[0]))
    clipped = round(share * answer.steps)
    if not clipped:
        return "The norms end here: it would never have engaged."
    if clipped == answer.steps == 1:
        return f"Shortens the one step with such a norm, to {least} of its length."
    said = percent(share)
    if clipped == 1 or share <= _FEW:
        return f"Catches the largest alone: {said} of the steps, the largest shortened to {least} of its length."
    if share <= _TENTH:
        return f"Catches the largest tenth: {said} of the steps, and leaves the ordinary ones as they are."
    half = "the larger half" if abs(share - 0.5) <= _ABOUT else "the larger ones"
    return (
        f"Shortens {'every step' if share == 1 else f'{half}: {said} of the steps'}, to "
        f"{number(float(answer.median_factor[0]))} of the length at the median. Plain SGD then makes all of those "
        "updates of one length."
    )
