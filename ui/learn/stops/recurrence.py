"""The recurrence in numbers: a net small enough to do by hand, unrolled, in three wirings, from zeros or learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from diagnostics.charts import unrolled
from diagnostics.measures.unrolled import PARTS, WIRINGS, Net, Unrolled, Wiring, asked, descend, fed, unroll
from diagnostics.records import Array
from experiments.spec import RunSpec
from ui.learn import arithmetic, ask, typed
from ui.learn.panels import chart
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.words import number, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

SLUG = "recurrence"
WORDS: Mapping[Wiring, str] = {
    "many-to-many": "Many to many",
    "many-to-one": "Many to one",
    "one-to-many": "One to many",
}
INITIAL = {"zero": "All zeros", "learned": "Learned"}
STRENGTHS = (0.25, 0.5, 1.0, 1.5, 3.0)
USUAL: Mapping[str, Any] = {"wiring": "many-to-one", "initial": "zero", "strength": 1.0}
RATE, UPDATES = 0.1, (0, 1, 2, 5, 10, 20, 50, 100, 200)
USUAL_UPDATES = 50

_X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
_WANTED = np.array([[0.5], [-0.5], [0.5], [-0.5]])
_NETS: Mapping[int, Net] = {
    2: Net(
        np.array([[0.6, -0.8], [0.5, 0.7]]), np.array([[1.0, -0.5], [0.3, 0.8]]), np.array([[1.2, -0.7]]), np.zeros(2)
    ),
    3: Net(
        np.array([[0.6, -0.8, 0.2], [0.5, 0.7, -0.3], [-0.4, 0.1, 0.5]]),
        np.array([[1.0, -0.5], [0.3, 0.8], [-0.6, 0.4]]),
        np.array([[1.2, -0.7, 0.5]]),
        np.zeros(3),
    ),
    4: Net(
        np.array([[0.6, -0.8, 0.2, 0.1], [0.5, 0.7, -0.3, 0.2], [-0.4, 0.1, 0.5, 0.3], [0.2, -0.2, 0.4, 0.6]]),
        np.array([[1.0, -0.5], [0.3, 0.8], [-0.6, 0.4], [0.5, 0.2]]),
        np.array([[1.2, -0.7, 0.5, 0.3]]),
        np.zeros(4),
    ),
}


def controls() -> Values:
    """The wiring, the initial state, and how strong the recurrent weights are."""
    return {
        "wiring": ask.choice(SLUG, "wiring", "Wiring", WORDS, USUAL["wiring"]),
        "initial": ask.choice(SLUG, "initial", "Initial state h₀", INITIAL, USUAL["initial"]),
        "strength": ask.slider(
            SLUG, "strength", "Recurrent weights W_hh", STRENGTHS, USUAL["strength"], words="× {:g}"
        ),
    }


def net_of(values: Values, hidden: int = 2) -> Net:
    """The net at first, from the zero state."""
    net = _NETS[hidden]
    return replace(net, w_hh=values["strength"] * net.w_hh)


def _at_first(values: Values) -> Unrolled:
    return unroll(net_of(values), _X, _WANTED, values["wiring"])


def left(values: Values) -> float:
    """How much of the gradient at the state of the last answer is there at h_0, as a ratio of l2 norms."""
    sizes = np.linalg.norm(_at_first(values).grad_h, axis=1)
    return float(sizes[0] / sizes[-1])


# What came out


def answer(values: Values, runs: Sequence[Run]) -> int:
    """As much or more, a tenth to all, a hundredth to a tenth, less."""
    ratio = left(values)
    return 0 if ratio >= 1 else 1 if ratio >= 0.1 else 2 if ratio >= 0.01 else 3


def why(values: Values, runs: Sequence[Run]) -> str:
    """The gradient at every state."""
    sizes = np.linalg.norm(_at_first(values).grad_h, axis=1)
    said = ", ".join(number(float(size / sizes[-1])) for size in sizes[::-1])
    more = (
        " Each state also hears from its own answer, which is added to what comes back from later ones."
        if values["wiring"] != "many-to-one"
        else " Each step back multiplies by the slope of tanh, which is below 1, and by W_hh."
    )
    return f"Step by step, from h₄ back to h₀, there is {said} of it.{more}"


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """What the shared W gets, what the wiring does, and what becomes of the initial state."""
    found, net = _at_first(values), net_of(values)
    parts = np.sqrt((found.grad_w_hh**2).sum(axis=(1, 2)) + (found.grad_w_xh**2).sum(axis=(1, 2)))
    largest = int(parts.argmax())
    said = [
        f"One W serves all four steps, so its gradient is a **sum of four**; the largest part comes from step "
        f"{largest + 1} ({number(float(parts[largest]))} in l2 norm).",
        {
            "many-to-many": "Every answer sends its gradient to its own state and from there back to all before.",
            "many-to-one": "Only the last answer is asked for: whatever h₁ to h₃ hear of it came through W_hh.",
            "one-to-many": "Only x₁ is read: all that later answers know of it, they know through the state.",
        }[values["wiring"]],
    ]
    gradient = f"({', '.join(number(float(value)) for value in found.grad_h[0])})"
    if values["initial"] == "zero":
        return [
            *said,
            f"At h₀ arrives the gradient {gradient}, and nobody uses it: the zero state stays as it is. Without any "
            "input such a net could never say anything: from h₀ = 0 every state would be 0, whatever the weights.",
        ]
    after, losses = descend(net, _X, _WANTED, values["wiring"], learn=("h_0",), rate=RATE, updates=USUAL_UPDATES)
    state = f"({', '.join(number(float(value)) for value in after.h_0)})"
    return [
        *said,
        f"h₀ is a parameter like the weights: its gradient is {gradient}. {USUAL_UPDATES} updates of h₀ alone, by "
        f"{RATE:g} × that, bring it to {state} and the loss from {number(float(losses[0]), 3)} to "
        f"{number(float(losses[-1]), 3)}.",
    ]


# The panels


def own(values: Values, seen: Sequence[Seen]) -> None:
    """The graph, one step of it in numbers, and the numbers themselves."""
    _panels(dict(values))


@st.fragment
def _panels(values: Values) -> None:
    wiring: Wiring = values["wiring"]
    learned = values["initial"] == "learned"
    state, stepping, sums, picture, numbers = (st.container() for _ in range(5))
    with numbers, st.expander("Change the numbers", key=f"learn-{SLUG}-numbers"):
        try:
            net, x, wanted = _typed(values)
        except ValueError as error:
            st.error(f"{error}.", icon=":material/error:")
            return
    if learned:
        with state:
            net = _learned(net, x, wanted, wiring)
    T = len(x)
    with stepping:
        t = _step(T)
    with picture:
        version = (wiring, learned, t, *(part.tobytes() for part in (net.w_hh, net.w_xh, net.w_hy, net.h_0, x, wanted)))

        def make(theme: str, size: str) -> tuple[go.Figure, str]:
            prepared = unrolled.prepare(net, x, wanted, wiring, learned=learned, highlight=t)
            return unrolled.draw(prepared, theme=theme, size=size), unrolled.describe(prepared)  # type: ignore[arg-type]

        chart(SLUG, "unrolled", unrolled.TITLE, unrolled.HOW_TO_READ, version, make)
    with sums:
        found = unroll(net, x, wanted, wiring)
        _sums(net, found, np.where(fed(wiring, T)[:, None], x, 0.0), wanted, t, wiring)


def _step(T: int) -> int:
    """Which step is shown in numbers."""
    key = f"learn-{SLUG}-step"
    now = st.session_state[key] = int(st.session_state.get(key, 1))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key=f"learn-{SLUG}-stepping"):
        for name, label, icon, by in (("back", "Back", "arrow_back", -1), ("next", "Next step", "arrow_forward", 1)):
            st.button(
                label,
                key=f"{key}-{name}",
                icon=f":material/{icon}:",
                disabled=not 1 <= now + by <= T,
                on_click=_move,
                args=(key, by),
            )
        return int(st.slider("Step t, ringed in the graph", 1, T, key=key))


def _move(key: str, by: int) -> None:
    st.session_state[key] += by


def _sums(net: Net, found: Unrolled, x: Array, wanted: Array, t: int, wiring: Wiring) -> None:
    T = len(x)
    reads, answers = bool(fed(wiring, T)[t - 1]), bool(asked(wiring, T)[t - 1])
    with st.container(horizontal=True, key=f"side-by-side-{SLUG}"):
        with st.container():
            st.markdown(f"**Step {t}, forward**")
            st.latex(arithmetic.forward(net, found, x, wanted, t, fed=reads, asked=answers))
        with st.container():
            st.markdown(f"**Step {t}, back**")
            st.latex(arithmetic.backward(net, found, t, T))


def _learned(net: Net, x: Array, wanted: Array, wiring: Wiring) -> Net:
    """h_0 after some updates, beside what it was."""
    updates = st.select_slider(
        "Updates of h₀ (the weights stay as they are)", UPDATES, USUAL_UPDATES, key=f"learn-{SLUG}-updates"
    )
    after, losses = descend(net, x, wanted, wiring, learn=("h_0",), rate=RATE, updates=updates)
    before, now = unroll(net, x, wanted, wiring), unroll(after, x, wanted, wiring)
    step = rf"h_0 \leftarrow h_0 - {RATE:g}\,\tfrac{{\partial L}}{{\partial h_0}}"
    st.markdown(
        f"${step}$: from $h_0 = {arithmetic.row(net.h_0)}$, where $\\partial L/\\partial h_0 = "
        f"{arithmetic.row(before.grad_h[0])}$, to $h_0 = {arithmetic.row(after.h_0)}$ after {updates} updates, where "
        f"it is ${arithmetic.row(now.grad_h[0])}$. The loss went from {number(float(losses[0]), 3)} to "
        f"**{number(float(losses[-1]), 3)}**, {_change(float(losses[0]), float(losses[-1]))}; the answers from "
        f"${arithmetic.row(before.y[:, 0])}$ to ${arithmetic.row(now.y[:, 0])}$."
    )
    return after


def _change(first: float, last: float) -> str:
    if not (np.isfinite(first) and np.isfinite(last) and first > 0):
        return "which cannot be compared"
    return f"{percent(abs(1 - last / first))} {'less' if last <= first else 'more'}"


def _typed(values: Values) -> tuple[Net, Array, Array]:
    """The numbers as they are typed; those of the controls until then."""
    hidden = st.segmented_control(
        "Units H", list(_NETS), default=2, required=True, key=f"learn-{SLUG}-hidden", persist_state="session"
    )
    again = st.session_state.setdefault(f"learn-{SLUG}-again", 0)
    net, mark = net_of(values, hidden or 2), f"{hidden}-{values['strength']}-{again}"
    H = len(net.h_0)
    units, own = [f"h{_low(i + 1)}" for i in range(H)], [f"unit {i + 1}" for i in range(H)]
    T = len(_X)
    steps = [f"t = {t + 1}" for t in range(T)]
    with st.container(horizontal=True, gap="medium", key=f"learn-{SLUG}-tables"):
        with st.container(width=110 + 80 * H):
            w_hh = typed.table(f"learn-{SLUG}-w_hh-{mark}", "W_hh", net.w_hh, own, [f"from {unit}" for unit in units])
        with st.container(width=260):
            w_xh = typed.table(f"learn-{SLUG}-w_xh-{mark}", "W_xh", net.w_xh, own, ["from x₁", "from x₂"])
        with st.container(width=280):
            rest = np.stack([net.w_hy[0], net.h_0], axis=1)
            rest = typed.table(f"learn-{SLUG}-w_hy-{mark}", "W_hy and h₀", rest, own, ["W_hy", "h₀"])
        with st.container(width=340):
            both = typed.table(
                f"learn-{SLUG}-x-{mark}", "Inputs x and wanted answers d", np.hstack([_X, _WANTED]), steps,
                ["x₁", "x₂", "d"],
            )  # fmt: skip
    st.button("Back to the numbers at first", key=f"learn-{SLUG}-reset", icon=":material/undo:", on_click=_again)
    made, x, wanted = Net(w_hh, w_xh, rest[:, :1].T, rest[:, 1]), both[:, :2], both[:, 2:]
    first = net_of(values)
    pairs = [(x, _X), (wanted, _WANTED), *((getattr(made, part), getattr(first, part)) for part in PARTS)]
    if not all(np.array_equal(now, then) for now, then in pairs):
        st.caption("These are your own numbers; the sentences at the top are of those at first.")
    return made, x, wanted


def _again() -> None:
    st.session_state[f"learn-{SLUG}-again"] += 1


def _low(i: int) -> str:
    return "₀₁₂₃₄"[i]


def lab(values: Values) -> list[RunSpec]:
    """The nearest thing that can be trained: "hello", character by character, with as small a net; where one is read
    and many are asked for, the caption of a picture that is looked at once."""
    if values["wiring"] == "one-to-many":
        from ui.learn.stops import captions  # only whoever chooses this wiring needs it

        once = next(spec for spec in captions.specs(captions.USUAL) if spec.gap == max(captions.LOOKS))
        return [once.changed(initial=values["initial"])]
    small = {"hidden": 4, "inputs": "onehot", "steps": 200, "learning_rate": 0.02}
    gap = 3 if values["wiring"] == "many-to-many" else 2  # of one window alone, its one answer would be no question
    return [RunSpec.make(task="text", gap=gap, wiring=values["wiring"], initial=values["initial"], **small)]


assert set(WORDS) == set(WIRINGS)

STOP = Stop(
    slug=SLUG,
    title="The recurrence",
    question="What does one step of a recurrent network compute, and what comes back through it?",
    text=(
        "A recurrent network reads one step at a time and keeps what it needs in its **state**. The new state is made "
        "of the old one and of the input, by the same function with the same weights at every step. *Unrolled* over "
        "time, the loop becomes a chain whose every link is the same W. When something is read and when something is "
        "asked for is a matter of **wiring**: an answer at every step, one at the end, or many answers to one input. "
        "The first state is all zeros, or it is learned like a weight. Here is a net with two units, small enough to "
        "be done by hand; the gradients in the graph are exact."
    ),
    equation=r"h_t = \tanh(W_{hh}\,h_{t-1} + W_{xh}\,x_t), \qquad y_t = W_{hy}\,h_t",
    letters=(
        r"$x_t$ input, $h_t$ state, $y_t$ answer at step $t$; $h_0$ the initial state; $W_{xh}$ from input to state, "
        r"$W_{hh}$ from state to state, $W_{hy}$ from state to answer. Backward: $\delta_t$ is the gradient at the sum "
        r"inside the tanh, and the loss is $L = \sum_t \tfrac12 (y_t - d_t)^2$ with $d_t$ the wanted answers."
    ),
    usual=USUAL,
    controls=controls,
    specs=lambda values: [],
    prediction=Prediction(
        "Take the gradient that arrives at the state of the last answer, h₄. How much arrives at h₀, four steps back?",
        ("As much, or more", "Between a tenth of it and all of it", "Between a hundredth and a tenth",
         "Less than a hundredth"),
        answer,
        why,
    ),
    seen=seen,
    own=own,
    lab=lab,
)  # fmt: skip
