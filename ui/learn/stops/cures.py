"""Vanishing, exploding, and the two cures: sigmoid, tanh, ReLU and a gate; clipping, with the cliff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from diagnostics.charts import cliff
from diagnostics.charts.success_along import last_success
from diagnostics.measures.clipping import clipped_share
from diagnostics.measures.numbers import number
from diagnostics.measures.verdict import verdict
from experiments.spec import RunSpec
from models.cells import CELLS
from ui.learn import ask
from ui.learn.panels import chart
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.learn.stops.dependencies import learned
from ui.shell import CLIPPING
from ui.words import listed, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

SLUG = "cures"
GAPS = (10, 20, 40)
THRESHOLDS = (0.1, 1.0, 10.0)
GATED = ("gru", "lstm")
USUAL: Mapping[str, Any] = {"gap": 40, "gate": "lstm", "threshold": 1.0}

_PLAIN = ("sigmoid", "tanh", "relu")
_SMALL = {"hidden": 32, "embedding": 16, "batch": 32, "steps": 250, "eval_every": 50, "record_every": 10}
_LINEAR = {
    "cell": "identity", "init": "identity", "optimizer": "momentum", "learning_rate": 0.005,
    "hidden": 64, "embedding": 32, "batch": 64, "steps": 300, "eval_every": 60, "record_every": 10,
}  # fmt: skip
"""Without a nonlinearity nothing shrinks, so the gradient grows with the weights; plain momentum takes it as long as it
is, where Adam would shorten it by itself and hide what clipping does."""

_CLIFF: Mapping[str, Any] = {"w": 5.0, "b": -2.2, "step_size": 0.5, "threshold": 0.1, "T": 50, "updates": 60}
"""As the page Clipping shows it at first."""


def controls() -> Values:
    """How far back the word lies, the cell with gates, and where the exploding gradient is clipped."""
    return {
        "gap": ask.slider(SLUG, "gap", "The word lies back", GAPS, USUAL["gap"], words="{} words"),
        "gate": ask.choice(SLUG, "gate", "Cell with gates", {cell: CELLS[cell].title for cell in GATED}, USUAL["gate"]),
        "threshold": ask.choice(
            SLUG, "threshold", "Clip the linear network at", {t: f"{t:g}" for t in THRESHOLDS}, USUAL["threshold"]
        ),
    }


def specs(values: Values) -> list[RunSpec]:
    """Cells that shrink the gradient, and one with gates; then one that lets it grow, without clipping and with it."""
    gap = values["gap"]
    cells = (*_PLAIN, values["gate"])
    clips = ("none", f"norm:{values['threshold']:g}")
    return [
        *(RunSpec.make(task="france", gap=gap, cell=cell, **_SMALL) for cell in cells),
        *(RunSpec.make(task="france", gap=gap, clip=clip, **_LINEAR) for clip in clips),
    ]


def names(values: Values) -> list[str]:
    """What each is called."""
    cells = [f"{CELLS[cell].title} network" for cell in (*_PLAIN, values["gate"])]
    return [*cells, "linear, not clipped", f"linear, clipped at {values['threshold']:g}"]


# What came out


def answer(values: Values, runs: Sequence[Run]) -> int:
    """Gates and clipping; clipping, and no gates needed; gates, and clipping does not help; anything else."""
    sigmoid, tanh, relu, gated, loose, clipped = (learned(run) for run in runs)
    if loose or sigmoid or tanh:
        return 3
    if clipped and gated:
        return 1 if relu else 0
    return 2 if gated and not relu else 3


def why(values: Values, runs: Sequence[Run]) -> str:
    """Success of each."""
    *shrinking, loose, clipped = runs
    said = listed([f"{_cell(run)} {percent(last_success(run))}" for run in shrinking])
    ended = f" ({loose.detail.partition(':')[0]})" if loose.state == "diverged" and loose.detail else ""
    return (
        f"Right answers: {said}. The linear network: without clipping {percent(last_success(loose))}{ended}, clipped "
        f"at {values['threshold']:g} {percent(last_success(clipped))}."
    )


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """How much gradient arrives in each cell, and what clipping did."""
    *shrinking, loose, clipped = runs
    arrives = [f"{_cell(run)} {number(verdict(run).informative_grad)}" for run in shrinking]
    norms = loose.records["grad_norm_pre"]
    share = percent(clipped_share(clipped.records["clip_factor"]))
    return [
        f"**Vanishing.** Of the gradient at the answer, this part arrives at the word {values['gap']} steps before, "
        f"as a factor: {listed(arrives)}.",
        "**ReLU** has slope 1 wherever it is on, so that in theory nothing shrinks; in practice units that are off "
        f"pass nothing back: {percent(last_success(runs[2]))} right.",
        f"**Exploding.** Without a nonlinearity the norm of the first gradient was {number(float(norms[0]))}; clipping "
        f"at {values['threshold']:g} shortened {share} of the updates of the other network. It keeps a gradient's "
        "direction, and brings back none that has vanished.",
    ]


def _cell(run: Run) -> str:
    return CELLS[str(run.spec["cell"])].title


def own(values: Values, seen: Sequence[Seen]) -> None:
    """The cliff: why a long gradient throws training off, and what a shorter step does about it."""
    prepared = cliff.prepare(**_CLIFF)

    def above(theme: str, size: str) -> tuple[go.Figure, str]:
        return cliff.draw(prepared, theme=theme, size=size), cliff.describe(prepared)  # type: ignore[arg-type]

    def surface(theme: str, size: str) -> tuple[go.Figure, str]:
        return cliff.draw_surface(prepared, theme=theme, size=size), cliff.describe(prepared)  # type: ignore[arg-type]

    how = (
        "The ground is the loss of a network of one unit over its weight w and its bias b. Along the wall the gradient "
        "is enormous: one step of plain descent is thrown far off. Clipped by norm, the step keeps its direction and "
        "not its length."
    )
    st.markdown("**Why clipping: the cliff**")
    with st.container(horizontal=True, key="side-by-side-cliff"):
        with st.container():
            chart(SLUG, "cliff-above", cliff.TITLE, how, "usual", above)
        with st.container():
            chart(SLUG, "cliff", cliff.SURFACE_TITLE, how, "usual", surface)
    label = "Move the start on the page Clipping"
    st.page_link(CLIPPING, label=label, icon=":material/content_cut:", query_params={"view": "cliff"})


STOP = Stop(
    slug=SLUG,
    title="Vanishing, exploding, and the two cures",
    question="What brings the gradient back to a word far away: another nonlinearity, a gate, or clipping?",
    text=(
        "On its way back through $k$ steps a gradient is multiplied $k$ times. Factors below 1 let it **vanish**: "
        "sigmoid, whose slope is at most ¼, is worst, tanh is better, and ReLU has slope 1 where it is on at all. "
        "Factors above 1 let it **explode**: one update is then so long that training breaks. Two cures are known. "
        "**Gates** give the state a way through on which it is added to instead of multiplied. **Clipping** shortens "
        "a gradient that is too long. Here four networks that could vanish stand beside a linear one that explodes."
    ),
    equation=r"\begin{gathered}\frac{\partial \mathcal{L}}{\partial h_{T-k}} = "
    r"\frac{\partial \mathcal{L}}{\partial h_T} \prod_{t=T-k+1}^{T} \operatorname{diag}\!\big(f'(a_t)\big)\, W_{hh} "
    r"\\[0.6em] g \leftarrow g \cdot \min\!\Big(1, \frac{\theta}{\lVert g \rVert}\Big)\end{gathered}",
    letters=(
        r"$\mathcal{L}$ loss; $h_t$ state; $a_t = W_{hh} h_{t-1} + W_{xh} x_t$; $f'$ slope of the nonlinearity; "
        r"$W_{hh}$ recurrent weights; $T$ last step; $k$ steps back; $g$ the gradient of all weights; $\theta$ the "
        "clipping threshold."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    names=names,
    prediction=Prediction(
        "What will help?",
        (
            "Gates against vanishing, clipping against exploding",
            "ReLU is enough against vanishing, clipping against exploding",
            "Gates against vanishing; clipped at this threshold, the exploding network still learns nothing",
            "None of these",
        ),
        answer,
        why,
    ),
    seen=seen,
    lab=lambda values: specs(values)[:-2],  # the linear ones are trained in another way, which the Lab has no room for
    figures=("ribbon", "profile", "learning", "clipping"),
    own=own,
)
