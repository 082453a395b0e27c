"""New text from a trained character model: sample one character, feed it back, again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from diagnostics.charts import next_probabilities
from diagnostics.records import Array
from models.generate import Generated, generate
from tasks.characters import alphabet, named
from ui.learn.panels import chart

if TYPE_CHECKING:
    import plotly.graph_objects as go

TEMPERATURES = (0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 3.0)
LONGEST_START, LONGEST, _USUAL = 200, 1000, 200
TITLE = "What the network expected as it wrote"
HOW_TO_READ = (
    "Each column is a step of writing: below it the character that was read last, above that the probability of each "
    "that may follow, and ringed the one that was drawn, which is what the next column reads. At a low temperature "
    "the ring sits on the brightest cell nearly always; at a high one it wanders."
)


def panel(slug: str, cell: str, weights: Mapping[str, Array], text: str, version: object) -> None:
    """Ask for a beginning, a temperature and a seed, and write with a network that was trained on ``text``."""
    characters = alphabet(text)
    usual = min(_USUAL, len(text) - 1)
    own = f"{len(characters)}-{usual}"  # another text begins anew
    st.markdown("**Let it write: sample one character, feed it back**")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key=f"learn-{slug}-writing"):
        begin = st.text_input(
            "It begins with", next((c for c in characters if c.strip()), characters[0]), max_chars=LONGEST_START,
            key=f"learn-{slug}-begin-{own}", width=200,
        )  # fmt: skip
        temperature = st.select_slider(
            "Temperature",
            TEMPERATURES,
            1.0,
            key=f"learn-{slug}-temperature",
            help="The scores are divided by it before the softmax: below 1 the likeliest grows likelier.",
        )
        count = st.number_input("Characters", 1, LONGEST, usual, key=f"learn-{slug}-count-{own}", width=130)
        seed = st.number_input("Seed", 0, 2**32 - 1, 0, key=f"learn-{slug}-seed", width=130)
    if refusal := unwritable(begin, characters):
        st.error(refusal, icon=":material/error:")
        return
    prefix = [characters.index(character) for character in begin]
    made = generate(cell, weights, prefix, int(count), temperature=float(temperature), seed=int(seed))
    st.code(begin + "".join(characters[word] for word in made.words), language=None, wrap_lines=True)
    beyond = len(begin) + len(made.words) > len(text)
    ended = f" It was trained on {len(text)} characters: how to go on after them it was never told." if beyond else ""
    ended += " It stopped there: the network's answer is not a finite number." if made.stopped else ""
    st.caption(
        f"Seed {seed} at temperature {temperature:g} writes this, and the same again whenever it is asked.{ended}"
    )

    def make(theme: str, size: str) -> tuple[go.Figure, str]:
        prepared = _prepared(begin, made, characters, float(temperature))
        return next_probabilities.draw(prepared, theme=theme, size=size), next_probabilities.describe(prepared)  # type: ignore[arg-type]

    chart(slug, "writing", TITLE, HOW_TO_READ, (version, begin, temperature, count, seed), make)


def unwritable(begin: str, characters: Sequence[str]) -> str:
    """Why nothing can be written from this beginning, in a sentence; empty where it can."""
    if not begin:
        return "The beginning must have at least one character, but it is empty."
    if strange := next((character for character in begin if character not in characters), ""):
        return (
            f"The beginning must be written with the characters that the network was trained on, but {named(strange)} "
            "is not among them."
        )
    return ""


def _prepared(
    begin: str, made: Generated, characters: Sequence[str], temperature: float
) -> next_probabilities.Prepared:
    names = [named(character) for character in characters]
    read = [named(begin[-1]), *(names[word] for word in made.words)][: len(made.words)]
    return next_probabilities.prepare(
        read,
        made.probabilities,
        [int(word) for word in made.words],
        names,
        title=TITLE,
        meaning="what was drawn",
        caption=f"temperature {temperature:g}",
    )
