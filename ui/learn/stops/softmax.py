"""The softmax over V: in full, adaptive, hierarchical, noise-contrastive; what each step costs, and what it ends at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

import tasks
from diagnostics.charts import softmax_time
from diagnostics.charts.softmax_time import Point
from diagnostics.measures.numbers import number
from diagnostics.store import StoreError
from diagnostics.strict_json import loads
from experiments.spec import Refusal, RunSpec
from experiments.timing import ANSWERS, HIDDEN, Timing, look
from experiments.timing import ask as begin_timing
from models.mass import mass
from ui import places
from ui.learn import ask
from ui.learn.panels import chart
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.words import listed, markdown

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

SLUG = "softmax"
HEADS: Mapping[str, str] = {
    "full": "full",
    "adaptive": "adaptive",
    "hierarchical": "hierarchical",
    "nce": "noise-contrastive",
}
STEPS = (150, 300, 600)
USUAL: Mapping[str, Any] = {"heads": tuple(HEADS), "steps": 300}
_SMALL = {"task": "words", "gap": 10, "cell": "gru", "hidden": 16, "embedding": 8, "batch": 32, "learning_rate": 1e-2}
RECORDED = Path(__file__).parents[2] / "example" / "learn" / "softmax-time.json"
"""What ``python -m experiments.softmax_time`` measured, shown until this machine has been measured."""
_FOLLOW_S = 1.0
CONTEXTS = 16
"""Held-out sentences whose words' probabilities are added up."""
_WHOLE = 1e-6
"""Probabilities that add up to 1 within this are said to."""


def controls() -> Values:
    """The heads, and how long each is trained."""
    return {
        "heads": ask.several(SLUG, "heads", "Softmaxes", dict(HEADS), USUAL["heads"]),
        "steps": ask.slider(SLUG, "steps", "Trained for", STEPS, USUAL["steps"], words="{} steps"),
    }


def specs(values: Values) -> list[RunSpec]:
    """The same network with each of the heads."""
    if not values["heads"]:
        raise Refusal("heads must have at least one value, but got none")
    steps = int(values["steps"])
    return [RunSpec.make(softmax=head, steps=steps, eval_every=steps // 6, **_SMALL) for head in values["heads"]]


# What came out


def perplexity(run: Run) -> float:
    """exp of the last cross-entropy on the held-out set; infinite where that is too much for a number."""
    with np.errstate(over="ignore"):
        return float(np.exp(run.records["eval_loss"][-1]))


def _head(run: Run) -> str:
    return HEADS[str(run.spec["softmax"])]


def answer(values: Values, runs: Sequence[Run]) -> int:
    """The head with the lowest perplexity."""
    best = min(runs, key=perplexity)
    return list(HEADS).index(str(best.spec["softmax"]))


def why(values: Values, runs: Sequence[Run]) -> str:
    """Every head's perplexity."""
    said = listed([f"{_head(run)} {number(perplexity(run), 3)}" for run in runs])
    return f"Perplexity on held-out sentences after {runs[0].spec['steps']} steps: {said}."


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """The order of the heads, and what it means here."""
    ordered = sorted(runs, key=perplexity)
    first, last = ordered[0], ordered[-1]
    words = tasks.build("words", int(first.spec["gap"])).outputs
    found = [
        f"**{_head(first)}** ends at perplexity {number(perplexity(first), 3)}"
        + (
            f", **{_head(last)}** at {number(perplexity(last), 3)}: what is cheaper by the step may need more of them."
            if len(ordered) > 1
            else "."
        ),
        f"With {words} words the full softmax is no burden, and nothing is gained by going around it; at 100,000 the "
        "figure of times says what it would cost.",
    ]
    if any(run.spec["softmax"] == "nce" for run in runs):
        found.append(
            "All perplexities are of normalised probabilities. Noise contrast is trained without a sum over V: what "
            "its own numbers add up to is below."
        )
    return found


# The stop's own panels


def own(values: Values, seen: Sequence[Seen]) -> None:
    """What the probabilities add up to, and the time of a step against V."""
    _masses(seen)
    _times()


def _masses(seen: Sequence[Seen]) -> None:
    said = []
    for one in seen:
        spec = one.run.spec
        task = tasks.build("words", int(spec["gap"]))
        held_out = task.held_out(int(spec["seed"]), CONTEXTS)
        try:
            found = mass(str(spec["softmax"]), str(spec["cell"]), one.weights(None), held_out.inputs)
        except StoreError:
            continue
        low, middle, high = (float(q) for q in np.quantile(found, (0, 0.5, 1)))
        sums = (
            "1" if max(abs(low - 1), abs(high - 1)) < _WHOLE else f"{number(middle)} ({number(low)} to {number(high)})"
        )
        said.append(f"**{_head(one.run)}** {sums}")
    if said:
        st.markdown(
            "The probabilities of all words add up to (median, and range, over held-out words): " + " · ".join(said)
        )


def _times() -> None:
    try:
        now = look(places.store())
    except StoreError:
        now = Timing("none")
    if now.state == "measuring":
        st.fragment(_following, run_every=_FOLLOW_S)(len(now.points))
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="learn-softmax-times"):
        st.button(
            "Measure on this machine",
            icon=":material/timer:",
            key=f"learn-{SLUG}-measure",
            disabled=now.state == "measuring",
            on_click=_measure,
        )
        st.caption(
            f"Measuring: {len(now.points)} of 16 points so far."
            if now.state == "measuring"
            else "About a quarter of a minute, in a process of its own."
        )
    if now.state == "failed":
        st.error(f"{markdown(now.words)}.", icon=":material/error:")
    recorded = not now.points
    points, where = _recorded() if recorded else (now.points, now.where)

    def make(theme: str, size: str) -> tuple[go.Figure, str]:
        origin = f"recorded on {where}" if recorded else f"this machine, {where}"
        prepared = softmax_time.prepare(
            [Point(HEADS[kind], words, seconds) for kind, words, seconds in points], ANSWERS, HIDDEN, origin
        )
        return softmax_time.draw(prepared, theme=theme, size=size), softmax_time.describe(prepared)  # type: ignore[arg-type]

    chart(
        SLUG,
        "softmax-time",
        softmax_time.TITLE,
        "Both axes are logarithmic: a line that rises by ten for every ten times as many words is in proportion to V, "
        "as the full softmax is. The adaptive one looks into rare words only where they are needed, the hierarchical "
        "one takes log₂ V decisions, noise contrast scores one word and a handful of noise words. What still grows "
        "with V there is the gradient of the whole table, most of it 0.",
        (recorded, points),
        make,
    )


def _following(points: int) -> None:
    """Draw the stop again as soon as there is more to show."""
    try:
        now = look(places.store())
    except StoreError:
        return
    if now.state != "measuring" or len(now.points) != points:
        st.rerun()


def _measure() -> None:
    try:
        trouble = begin_timing(places.store())
    except StoreError as error:
        trouble = str(error)
    if trouble:
        st.toast(f"{trouble}.")


def _recorded() -> tuple[tuple[tuple[str, int, float], ...], str]:
    found = loads(RECORDED.read_bytes())
    return tuple((str(kind), int(words), float(seconds)) for kind, words, seconds in found["points"]), found["where"]


STOP = Stop(
    slug=SLUG,
    title="The softmax over V",
    question="Each next word asks for a probability of every word there is: what if there are a hundred thousand?",
    text=(
        "The last layer of a language model gives every word of the vocabulary a score, and the **softmax** divides by "
        "the sum over all of them: at every step, for every word to come, in time and memory that grow with V. Three "
        "ways around it. **Adaptive**: common words in a short list, rare ones in clusters that are rarely opened. "
        "**Hierarchical**: a tree, and a left-or-right decision at each node on the way to a word. "
        "**Noise-contrastive**: never sum at all; learn to tell the right word from a few words of noise."
    ),
    equation=(
        r"\begin{gathered}"
        r"p(w) = \frac{e^{s_w}}{\sum_{v=1}^{V} e^{s_v}} \qquad p(w) = \prod_{k \in \text{path}(w)} "
        r"\sigma(\pm\,\theta_k \cdot h) \\[6pt]"
        r"\ell = -\ln \sigma(s_w - \ln K q_w) - \sum_{v \sim q} \ln \sigma(\ln K q_v - s_v)"
        r"\end{gathered}"
    ),
    letters=(
        r"$h$ state; $s_w = W_w h + b_w$ score of the word $w$; $V$ words; $\theta_k$ the decision at node $k$ of the "
        r"tree, $\sigma$ the sigmoid; $q$ how the $K$ noise words are drawn (Zipf's law); $\ell$ noise contrast's loss."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    prediction=Prediction(
        "After the same number of training steps, which ends with the lowest perplexity on held-out sentences?",
        tuple(HEADS.values()),
        answer,
        why,
    ),
    seen=seen,
    figures=("learning",),
    own=own,
    example_weights=True,
)
