"""Image captioning: a CNN's features beside every word, scenes that a person composes, and what each word hangs on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from diagnostics.charts import caption as chart_of_caption
from diagnostics.charts.success_along import last_success
from diagnostics.store import StoreError
from experiments.spec import Refusal, RunSpec
from models.captioning import Caption, Captioner, Gradients, caption, gradients
from models.cells import CELLS
from models.sight import look
from tasks import scenes
from tasks.captions import END, START, VOCABULARY, T, random_scene, text, true_of
from tasks.scenes import COLOURS, SHAPES, Thing
from ui.learn import ask
from ui.learn.panels import chart
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.words import listed, markdown, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

SLUG = "captions"
OFFERED = ("tanh", "gru", "lstm")
LOOKS = {1: "At every word", 5: "At the first four words", 8: "Only at <START>"}
"""The gap of the task → how long the picture is looked at."""
USUAL: Mapping[str, Any] = {"cell": "tanh", "looks": (1, 8), "seed": 0}
_SIZES = {
    "hidden": 60, "embedding": 16, "batch": 64, "steps": 500, "learning_rate": 0.01, "eval_every": 100,
    "record_every": 10,
}  # fmt: skip
MARGIN = 0.1
"""Shares of true captions that are nearer to each other than this count as about the same."""
DRAWN = 12
"""How many captions are drawn at a temperature."""
PLACES = {
    f"{down} {across}".replace("middle middle", "middle"): (x, y)
    for down, y in (("top", 5.5), ("middle", 15.5), ("bottom", 25.5))
    for across, x in (("left", 5.5), ("middle", 15.5), ("right", 25.5))
}
_RADIUS = 4.4
_NOBODY = "nothing"


def key(name: str) -> str:
    """The key of a widget of the stop's own."""
    return f"learn-{SLUG}-{name}"


def controls() -> Values:
    """The cell, how long the picture is looked at, and the seed."""
    values = {
        "cell": ask.choice(SLUG, "cell", "Cell", {cell: CELLS[cell].title for cell in OFFERED}, USUAL["cell"]),
        "looks": ask.several(SLUG, "looks", "The picture is looked at", LOOKS, USUAL["looks"]),
    }
    with st.container(width=160):
        values["seed"] = ask.number(SLUG, "seed", "Seed", 0, 2**32 - 1, USUAL["seed"])
    return values


def specs(values: Values) -> list[RunSpec]:
    """A network for each way of looking."""
    if len(values["looks"]) < 2:
        raise Refusal(f"looks must have at least two values to compare, but got {len(values['looks'])}")
    return [
        RunSpec.make(task="captions", gap=gap, cell=values["cell"], seed=values["seed"], **_SIZES)
        for gap in values["looks"]
    ]


def names(values: Values) -> list[str]:
    """Each network by its cell and how long it looks."""
    return [f"{CELLS[values['cell']].title} · {_lowered(LOOKS[gap])}" for gap in values["looks"]]


def before(values: Values) -> None:
    """Six scenes with a caption that is true of each."""
    rng = np.random.default_rng(3)
    with st.container(horizontal=True, gap="medium"):
        for _ in range(6):
            things = random_scene(rng)
            said = true_of(things)
            st.image(enlarged(scenes.picture(things)), width=108, caption=text(said[int(rng.integers(len(said)))]))


def enlarged(picture: np.ndarray[Any, Any], times: int = 6) -> np.ndarray[Any, Any]:
    """The picture [3,P,P] as an image of bytes whose pixels stay sharp."""
    whole = np.moveaxis(picture, 0, -1).repeat(times, 0).repeat(times, 1)
    return np.asarray(np.round(255 * whole), np.uint8)


# What came out


def _named(run: Run) -> str:
    return LOOKS[int(run.spec["gap"])]


def answer(values: Values, runs: Sequence[Run]) -> int:
    """The longest look ahead, about the same, the shortest look ahead."""
    ahead = last_success(runs[0]) - last_success(runs[-1])
    return 0 if ahead > MARGIN else 2 if ahead < -MARGIN else 1


def why(values: Values, runs: Sequence[Run]) -> str:
    """The share of true captions of each."""
    said = listed([f"{percent(last_success(run))} where it is looked at {_lowered(_named(run))}" for run in runs])
    chance = runs[0].facts.chance_success if runs[0].facts is not None else math.nan
    return (
        f"Whole captions that are true, of scenes never seen in training: {markdown(said)}; knowing the grammar "
        f"without seeing anything would give {percent(chance)}."
    )


def _lowered(text: str) -> str:
    return text[0].lower() + text[1:]


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """What the CNN can do, what each network got right, and how far the picture is away for the last word."""
    found = []
    if accuracy := runs[0].versions.get("picture accuracy"):
        found.append(
            f"The **CNN** was trained first, to say which things a picture shows: it names exactly the right ones in "
            f"{percent(float(accuracy))} of {runs[0].versions.get('pictures tested', 'many')} new pictures. Then its "
            "last layer was chopped off, and the rest was left as it is."
        )
    for run in runs:
        if run.state == "diverged":
            found.append(f"**{_title(run)}**: training diverged ({markdown(run.detail)}).")
            continue
        gap = int(run.spec["gap"])
        away = "one step away" if gap == 1 else f"{gap} steps away, which the state alone has to bridge"
        found.append(
            f"**{_title(run)}**: {percent(last_success(run))} of the captions of new scenes are true as a whole. For "
            f"the last word the picture is {away}."
        )
    return found


def _title(run: Run) -> str:
    return markdown(f"{_named(run)} ({CELLS[str(run.spec['cell'])].title})")


# Captions on the page


def own(values: Values, seen: Sequence[Seen]) -> None:
    """A scene, what the network says of it, and what each word hangs on."""
    usable = [place for place, one in enumerate(seen) if _weights(one)]
    if not usable:
        doing = next((one.run.detail for one in seen if one.run.state == "running" and one.run.detail), "")
        now = f"Now: {markdown(doing)}. " if doing else ""
        st.caption(f"{now}As soon as the first weights are kept, scenes can be captioned here.")
        return
    st.markdown("#### Caption a new scene")
    left, right = st.columns([2, 3], gap="large")
    with left:
        one = _network(seen, usable)
        things = _scene()
        if not things:
            return
        picture = scenes.picture(things)
        drawn = " and ".join(f"a {scenes.named(thing.kind)}" for thing in things)
        st.image(enlarged(picture), width=192, caption=f"Drawn: {drawn}")
    captioner = Captioner(str(one.run.spec["cell"]), _weights(one), T - int(one.run.spec["gap"]))
    looked = look(captioner.weights, picture)
    said = caption(captioner, looked, start=START, end=END, longest=T)
    with right:
        _verdict("Greedily, the likeliest word each time", said, things)
        _at_temperature(captioner, looked, things)
    if not said.tokens:
        return

    found = gradients(captioner, looked, said.tokens, START)

    def make(theme: str, size: str) -> tuple[go.Figure, str]:
        words = [VOCABULARY[token] for token in said.tokens]
        prepared = chart_of_caption.prepare(
            picture, words, said.probabilities, found.picture, [one.run.id], _named(one.run)
        )
        return chart_of_caption.draw(prepared, theme=theme, size=size), chart_of_caption.describe(prepared)  # type: ignore[arg-type]

    version = (one.run.id, one.run.records.rows("step"), things)
    chart(SLUG, "picture", chart_of_caption.TITLE, chart_of_caption.HOW_TO_READ, version, make)
    if told := ways(found, said):
        st.caption(told)


def ways(found: Gradients, said: Caption) -> str:
    """Of the word of the second thing's name that hangs most on the picture: by which looks its gradient came."""
    by_look = np.linalg.norm(found.features, axis=2)  # [words, looks]
    naming = [n for n, token in enumerate(said.tokens) if n > 2 and VOCABULARY[token] in (*COLOURS, *SHAPES)]
    sizes = by_look[naming].sum(axis=1)
    if not len(sizes) or not np.isfinite(sizes).all() or not sizes.max() > 0:
        return ""
    word = naming[int(sizes.argmax())]
    own = by_look[word, word] / by_look[word].sum()
    return (
        f"Of the words that name the second thing “{markdown(VOCABULARY[said.tokens[word]])}” hangs most on the "
        f"picture: {percent(own)} of its gradient (norms added up) came through the look at its own step, "
        f"{percent(1 - own)} through the state, from looks at earlier words."
    )


def _weights(one: Seen) -> Mapping[str, Any]:
    """The last weights that were kept; nothing where there are none yet, or before the CNN has been trained."""
    try:
        weights = one.weights(None)
    except StoreError:
        return {}
    return weights if "pictures.scale" in weights else {}


def _network(seen: Sequence[Seen], usable: Sequence[int]) -> Seen:
    if len(usable) == 1:
        return seen[usable[0]]
    chosen = st.segmented_control(
        "The network that looks at the picture",
        usable,
        format_func=lambda place: _named(seen[place].run),
        default=usable[0],
        key=key("network"),
        persist_state="session",
    )
    return seen[usable[0] if chosen is None or chosen not in usable else chosen]


def _scene() -> tuple[Thing, ...]:
    """The scene that a person composes, or a random one that training never drew; nothing where it is no scene."""
    if key("scene") not in st.session_state:
        st.session_state[key("scene")] = scene(0)
    own = st.toggle("Compose the scene yourself", key=key("compose"), persist_state="session")
    if not own:
        st.button("Random new scene", key=key("random"), icon=":material/casino:", on_click=_another)
        st.caption("Two things in a relation that training never shows of just these two, or a single thing.")
        return tuple(st.session_state[key("scene")])
    usual = (("circle", "red", "top left"), ("square", "blue", "top right"))
    things = []
    for place in range(2):
        chosen: dict[str, str] = {}
        shapes = SHAPES if place == 0 else (*SHAPES, _NOBODY)
        for column, what, options, at_first in zip(
            st.columns(3),
            ("shape", "colour", "place"),
            (shapes, COLOURS, tuple(PLACES)),
            usual[place],
            strict=True,
        ):
            with column:
                chosen[what] = _pick(what, place, options, at_first)
        if chosen["shape"] != _NOBODY:
            things.append(Thing(chosen["shape"], chosen["colour"], *PLACES[chosen["place"]], _RADIUS))
    if len(things) == 2 and (things[0].x, things[0].y) == (things[1].x, things[1].y):
        st.warning("Two things cannot be in the same place; move one of them.")
        return ()
    return tuple(things)


def _pick(what: str, place: int, options: Sequence[str], usual: str) -> str:
    label = f"{('First', 'Second')[place]} {what}"
    chosen = st.selectbox(
        label, options, index=list(options).index(usual), key=key(f"{what}-{place}"), persist_state="session"
    )
    return str(chosen)


def _another() -> None:
    """Go on to the next random scene."""
    count = st.session_state[key("count")] = st.session_state.get(key("count"), 0) + 1
    st.session_state[key("scene")] = scene(count)


def scene(count: int) -> tuple[Thing, ...]:
    """The random scene after ``count`` clicks."""
    return random_scene(np.random.default_rng([9, count]))


def _verdict(how: str, said: Caption, things: Sequence[Thing]) -> None:
    true = true_of(things)
    if not said.tokens:
        st.warning("This network's scores are no numbers any more, so it says nothing.")
        return
    right = said.tokens in true
    mark = ":material/check: true of this picture" if right else ":material/close: not true of this picture"
    st.markdown(f"{how}:\n\n**{markdown(text(said.tokens))}** {mark}")
    if true and not right:
        st.caption("True would be: " + ", or ".join(markdown(text(one)) for one in true) + ".")
    elif not true:
        st.caption("Of these two things no relation is plain enough to be called true.")


def _at_temperature(captioner: Captioner, looked: Any, things: Sequence[Thing]) -> None:
    """Some captions drawn at a temperature, each different one with how often it came."""
    temperature = st.slider(
        "Temperature",
        0.1, 2.0, 1.0, 0.1,
        key=key("temperature"),
        persist_state="session",
        help="At 1 words are drawn as likely as the network says; below, the likeliest prevail; above, all grow alike.",
    )  # fmt: skip
    rng = np.random.default_rng(st.session_state.get(key("draw"), 0))
    drawn = [
        caption(captioner, looked, start=START, end=END, longest=T, temperature=float(temperature), rng=rng).tokens
        for _ in range(DRAWN)
    ]
    true = true_of(things)
    right = sum(tokens in true for tokens in drawn)
    st.markdown(f"{DRAWN} captions drawn at this temperature, {right} of them true:")
    lines = [
        f"- {count} × {markdown(text(tokens) or '(nothing)')} {':material/check:' if tokens in true else ''}"
        for tokens, count in Counter(drawn).most_common()
    ]
    st.markdown("\n".join(lines))
    st.button("Draw again", key=key("again"), icon=":material/refresh:", on_click=_draw_again)


def _draw_again() -> None:
    st.session_state[key("draw")] = st.session_state.get(key("draw"), 0) + 1


STOP = Stop(
    slug=SLUG,
    title="Image captioning",
    question="How does a network that speaks get to see what it speaks about?",
    text=(
        "A convolutional network (CNN) is first trained to **classify**: which things does a picture show? Then its "
        "last layer, which names the classes, is **chopped off**. What is left turns a picture into features $v$, and "
        "they enter the recurrence beside each word: from *<START>* on, every word that was said is fed back, until "
        "*<END>*. The CNN stays as it is; only the network that speaks is trained, on small drawn scenes. Of each two "
        "things one relation is kept from it, so that it has to caption scenes that it never saw. Two things have two "
        "true captions, since either may be named first."
    ),
    equation=r"h_t = \tanh(W_{xh}\,x_t + W_{hh}\,h_{t-1} + W_{ih}\,v)",
    letters=(
        r"$x_t$ the word before (first *<START>*); $h_t$ the state; $v$ the features of the picture, here 24 maps at "
        r"4 × 4 places; $W_{ih}$ brings them in, and $[W_{xh}, W_{ih}]\,[x_t; v]$ is the same with $x_t$ and $v$ one "
        r"under the other; where the picture is not looked at any more, $v$ is 0. $W_{hy}\,h_t$ scores the next word."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    prediction=Prediction(
        "Among the chosen ways of looking, which network captions new scenes right more often: the one that looks "
        "longest, or the one that must remember most?",
        (
            "The one that looks longest",
            "Both about as often (within 10 percentage points)",
            "The one that must remember most",
        ),
        answer,
        why,
    ),
    seen=seen,
    names=names,
    figures=("profile", "learning"),
    own=own,
    before=before,
    example_weights=True,
)
