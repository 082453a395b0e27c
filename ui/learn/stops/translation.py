"""Translation with an encoder and a decoder: told the right words or on its own, and the gradient across the bridge."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

import tasks
from diagnostics.charts import along_words, by_place
from diagnostics.charts.along_words import Told
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.success_along import last_success
from diagnostics.measures.verdict import verdict
from diagnostics.store import StoreError
from experiments.spec import RunSpec
from models import translating
from models.cells import CELLS
from tasks.bilingual import END, MOST_WORDS, START, Pairs, grammar, sentence
from tasks.slots import PADDING
from tasks.typed import typed
from ui.learn import ask
from ui.learn.panels import chart
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.learn.tagged import Cell, table
from ui.words import markdown, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.charts.frame import SizeName
    from diagnostics.records import Array, Run

SLUG = "translation"
GAPS = (5, 7, 9)
OFFERED = ("tanh", "gru", "lstm")
STEPS = (100, 200, 400)
USUAL: Mapping[str, Any] = {"gap": 7, "cell": "gru", "steps": 400}
_SMALL = {"hidden": 48, "embedding": 24, "batch": 64, "learning_rate": 8e-3, "record_every": 10}
MEASURED = 300
"""Held-out sentences that both ways of writing are compared on."""
_MEASURED = f"learn-{SLUG}-measured"
MOST_CHARACTERS = 200
MOST_WRITTEN = 20
SENTENCES = (
    "Hello, I am Usman",
    "I throw away the book today",
    "Today David looks at the small letter",
    "She wants to buy a new map",
    "We hope that she reads the letter",
    "Every day my brother copies my old newspaper",
)
SHARES = (0.1, 0.5, 0.8)


def controls() -> Values:
    """How long the sentences are, the cell, and how long it is trained."""
    longest = {gap: f"up to {gap} words" for gap in GAPS}
    return {
        "gap": ask.choice(SLUG, "gap", "English sentences", longest, USUAL["gap"]),
        "cell": ask.choice(SLUG, "cell", "Cell", {cell: CELLS[cell].title for cell in OFFERED}, USUAL["cell"]),
        "steps": ask.slider(SLUG, "steps", "Training steps", STEPS, USUAL["steps"]),
    }


def specs(values: Values) -> list[RunSpec]:
    """One encoder and decoder."""
    return [
        RunSpec.make(
            task="translation",
            gap=values["gap"],
            cell=values["cell"],
            steps=values["steps"],
            eval_every=values["steps"] // 10,
            **_SMALL,
        )
    ]


def before(values: Values) -> None:
    """A few pairs of the task."""
    task = tasks.build("translation", values["gap"])
    batch = task.batch(np.random.default_rng(4), 4)
    pairs = []
    for sample in range(batch.size):
        words, german = task.readable(batch, sample)
        pairs.append(f"- {markdown(sentence(words[: values['gap']]))} → **{markdown(german)}**")
    st.caption("Some of the pairs that it is trained on:")
    st.markdown("\n".join(pairs))


# What came out


def answer(values: Values, runs: Sequence[Run]) -> int:
    """Under a tenth, to a half, to four fifths, or more of the sentences that it never saw."""
    share = last_success(runs[0])
    return sum(share >= step for step in SHARES)


def why(values: Values, runs: Sequence[Run]) -> str:
    """The share of whole sentences right."""
    guess = runs[0].facts.chance_success if runs[0].facts is not None else 0.0
    return (
        f"{percent(last_success(runs[0]))} of the sentences that it never saw are right to the last word; always "
        f"giving the likeliest sentence of all would get {percent(guess)}."
    )


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """The share right, the gradient across the bridge, and what one state has to hold."""
    run = runs[0]
    learned = " It has learned words and their order, not sentences." if last_success(run) >= SHARES[1] else ""
    found = [
        f"**{percent(last_success(run))}** of the held-out sentences are right, every word and the end. None of them "
        f"was ever trained on, “Hello, I am Usman” among them.{learned}"
    ]
    said, facts = verdict(run), run.facts
    if facts is not None and np.isfinite(said.informative_grad):
        word = facts.tokens[facts.informative_steps[0]]
        found.append(
            f"The last German word says “{markdown(word)}”, which was read {facts.distance} steps earlier, on the "
            f"other side of the bridge. **{percent(said.informative_grad)}** of the last word's gradient arrives there."
        )
    size = int(run.spec["hidden"])
    numbers = f"{size} numbers" if CELLS[str(run.spec["cell"])].kind != "lstm" else f"{2 * size} numbers (h and c)"
    found.append(
        f"All that the decoder ever knows of the English sentence is one state of {numbers}. The verb that German puts "
        "last waits in it until everything else is written."
    )
    return found


# A person's own sentence, and both ways of writing


def own(values: Values, seen: Sequence[Seen]) -> None:
    """Translate a sentence, show what one of its words hears, and compare both ways of writing."""
    if not seen:
        return
    run = seen[0].run
    try:
        weights = seen[0].weights(None)
    except StoreError:
        st.caption("A sentence can be translated here as soon as the network has kept its weights.")
        return
    if not all(np.isfinite(one).all() for one in weights.values()):
        st.caption("The weights of this network are not finite: it writes nothing.")
        return
    _translate(run, weights)
    _both_ways(run, weights)


def _translate(run: Run, weights: Mapping[str, Array]) -> None:
    words = grammar()
    text = _sentence()
    try:
        english = list(typed(text, words.vocabulary, MOST_WORDS + 1))
    except ValueError as error:
        _refused(str(error))
        return
    foreign = next((word for word in (words.vocabulary[token] for token in english) if word not in _ENGLISH), None)
    if foreign is not None:
        _refused(f"“{foreign}” is not among its English words")
        return
    start, end = words.tokens[START], words.tokens[END]
    written = translating.translated(str(run.spec["cell"]), weights, english, start, end, MOST_WRITTEN)
    german = [words.vocabulary[token] for token in written.words]
    pair = words.parsed(english)
    right = _right(pair)
    st.markdown(f"### {markdown(sentence(german)) or '…'}")
    st.caption(_judged(run, english, german, right, pair))
    sure = [
        Cell(word, float(row[token]), True)
        for word, row, token in zip(german, written.probabilities, written.words, strict=True)
    ]
    rows = [("written", sure)]
    if right:
        rows.append(("right", [Cell(word, 1.0, False) for word in _padded(right, len(german))]))
    st.html(table([str(place + 1) for place in range(len(german))], rows))
    at = _asked(german)
    _across(run, weights, english, german, written, at, pair)


_ENGLISH = frozenset(grammar().english)


def _refused(said: str) -> None:
    st.warning(f"{markdown(said[:1].upper() + said[1:])}.", icon=":material/edit:")
    st.caption(
        "It knows these words: " + ", ".join(markdown(word) for word in sorted(_ENGLISH - {","}, key=str.lower)) + "."
    )


def _sentence() -> str:
    """What is in the field; pressing one of the sentences to try puts it there."""
    field, offered = ask.key(SLUG, "sentence"), ask.key(SLUG, "offered")
    st.session_state.setdefault(field, SENTENCES[0])

    def take() -> None:
        if (chosen := st.session_state[offered]) is not None:
            st.session_state[field] = chosen

    text = st.text_input(
        "A sentence to be translated: type your own and press Enter",
        key=field,
        max_chars=MOST_CHARACTERS,
        persist_state="session",
    )
    st.pills("Or try", SENTENCES, format_func=markdown, key=offered, on_change=take, label_visibility="collapsed")
    return str(text or "")


def _right(pair: Pairs | None) -> list[str]:
    """The German words of the pair with their end; nothing where the English ones are no sentence of the grammar."""
    if pair is None:
        return []
    return [*(grammar().vocabulary[token] for token in pair.german[0] if token != PADDING), END]


def _padded(words: Sequence[str], length: int) -> list[str]:
    return [*words, *[""] * length][:length]


def _judged(run: Run, english: Sequence[int], german: Sequence[str], right: Sequence[str], pair: Pairs | None) -> str:
    if pair is None:
        return (
            "This is no sentence of its small grammar, so there is no right answer to compare with; it was never "
            "trained on anything like it."
        )
    new = bool(grammar().is_held_out(pair.english)[0])
    known = "It was never trained on this sentence" if new else "It may have been trained on this sentence"
    if len(english) > int(run.spec["gap"]):
        known = f"It was only trained on sentences of up to {run.spec['gap']} words, and this one has {len(english)}"
    verdict_ = "**right**, to the last word" if list(german) == list(right) else "**not right**"
    should = "" if list(german) == list(right) else f" It should be: {markdown(sentence(right))}."
    return f"{known}; what it wrote is {verdict_}.{should}"


def _asked(german: Sequence[str]) -> int:
    """The written word whose loss is followed; at first the last one before the end."""
    usual = max(0, len(german) - 1 - (german[-1] == END))
    chosen = st.pills(
        "Whose gradient is followed?",
        list(range(len(german))),
        # Numbered, since options that read the same are one to the widget.
        format_func=lambda place: f"{place + 1} {markdown(german[place])}",
        default=usual,
        # Another translation has other words: what was chosen in the last one means nothing there.
        key=f"learn-{SLUG}-answer-{'-'.join(german)}",
    )
    return usual if chosen is None else int(chosen)


def _across(
    run: Run,
    weights: Mapping[str, Array],
    english: Sequence[int],
    german: Sequence[str],
    written: translating.Written,
    at: int,
    pair: Pairs | None,
) -> None:
    of_encoder, of_decoder = translating.heard(written, weights, at)
    source = [grammar().vocabulary[token] for token in english]
    words = [*source, START, *german[:at]]
    last = pair is not None and list(german) == _right(pair) and at == len(german) - 2
    needed = int(pair.said_last[0]) if pair is not None and last else None
    norms = np.concatenate([of_encoder, of_decoder])

    def make(theme: ThemeName, size: SizeName) -> tuple[go.Figure, str]:
        prepared = along_words.prepare(
            words,
            [Told(CELLS[str(run.spec["cell"])].title, norms, 0)],
            len(words) - 1,
            title=f"What “{german[at]}” hears, across the bridge",
            answer_label=f"here it writes {german[at]}",
            needed=needed,
            bridge=len(source),
            sides=("English is read", "German is written"),
            run_ids=[run.id],
            caption=f"the loss of the word that it wrote, {german[at]}",
        )
        return along_words.draw(prepared, theme=theme, size=size), along_words.describe(prepared)

    chart(
        SLUG,
        "bridge",
        "The gradient across the bridge",
        "To the left of the upright line the encoder reads, to its right the decoder writes; below the axis stands "
        "what is read at each step. The gradient of one written word is followed back through the decoder, over the "
        "one state that is handed across, and on through the encoder to the first English word. Where it has fallen "
        "to nothing, nothing of what was read there can be learned for this word.",
        (run.id, tuple(english), tuple(german), at, float(norms[-1])),
        make,  # type: ignore[arg-type]
    )


def _measured(run: Run, weights: Mapping[str, Array]) -> translating.Compared:
    """Both ways on held-out sentences; measured once for as long as the weights are the same."""
    seen = (run.id, zlib.crc32(np.ascontiguousarray(weights["head.weight"]).tobytes()))
    kept = st.session_state.get(_MEASURED)
    if kept is None or kept[0] != seen:
        gap = int(run.spec["gap"])
        batch = tasks.build("translation", gap).held_out(int(run.spec["seed"]), MEASURED)
        assert batch.lengths is not None
        cell, (source, read) = str(run.spec["cell"]), np.split(batch.inputs, [gap])
        found = translating.compared(cell, weights, source, batch.lengths, read, batch.targets[gap:])
        kept = st.session_state[_MEASURED] = (seen, found)
    measured: translating.Compared = kept[1]
    return measured


def _both_ways(run: Run, weights: Mapping[str, Array]) -> None:
    found = _measured(run, weights)
    told, free = found.words
    whole, _ = found.sentences
    st.markdown(
        "**Teacher forcing and free running.** In training, each step reads the *right* word before its own, whatever "
        f"the network would have written. Measured so, {percent(told)} of the held-out words are right. When it goes "
        f"on from its own words, as it must where nobody knows the right ones, {percent(free)} are: behind a first "
        "slip it is in a sentence that it was never told of. Whole sentences are right equally often either way, "
        f"{percent(whole)}: up to the first slip, both read the same words."
    )

    def make(theme: ThemeName, size: SizeName) -> tuple[go.Figure, str]:
        prepared = by_place.prepare(
            found.asked,
            {"told the right word before": found.forced, "going on from its own": found.free},
            title="Words right, by their place in the sentence",
            run_ids=[run.id],
        )
        return by_place.draw(prepared, theme=theme, size=size), by_place.describe(prepared)

    chart(
        SLUG,
        "both-ways",
        "Words right, by their place in the sentence",
        "Both lines are of one network and the same sentences. The upper one is told the right German word before each "
        "step; the lower one reads what it wrote itself. They begin at one point, since both begin with the same "
        "word, and part where slips add up.",
        (run.id, round(told, 6), round(free, 6)),
        make,  # type: ignore[arg-type]
    )


STOP = Stop(
    slug=SLUG,
    title="Translation",
    question="How does a sentence become one of another length and another order, word by word?",
    text=(
        "*Hello, I am Usman* → *Hallo, ich bin Usman*: word for word would do. But *I throw away the book today* is "
        "*Ich werfe heute das Buch weg*: other places, another length. So one recurrence, the **encoder**, reads the "
        "whole sentence; another, the **decoder**, begins with the state that is left and writes, each word from its "
        "state and the word before, until it writes the end. In training the word before is the right one (*teacher "
        "forcing*); afterwards it is its own. The small grammar here moves verbs to the end, splits them, and bends "
        "articles. One sentence in eight is never trained on."
    ),
    equation=(
        r"\begin{aligned} h_t &= f(h_{t-1}, x_t), \quad t \le S \\ s_0 &= h_S, \quad s_u = g(s_{u-1}, y_{u-1}) \\ "
        r"p(y_u \mid y_{<u}, x) &= \operatorname{softmax}(W s_u) \end{aligned}"
    ),
    letters=(
        r"$x_t$ English words, $S$ of them; $h_t$ the encoder's state; $s_u$ the decoder's, which begins with the "
        r"encoder's last one: the bridge; $y_u$ German words, $y_0$ the mark that starts a sentence; $f$ and $g$ cells "
        r"with weights of their own; $W$ reads the next word's probabilities $p$ off the state."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    prediction=Prediction(
        "Of sentences that it never saw, how many will it translate right to the last word?",
        ("Hardly any: under 10 %", "Some: 10 to 50 %", "Most: 50 to 80 %", "Nearly all: 80 % and more"),
        answer,
        why,
    ),
    seen=seen,
    figures=("learning", "profile"),
    own=own,
    before=before,
    example_weights=True,
)
