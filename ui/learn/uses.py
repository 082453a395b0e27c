"""What such networks are used for: the uses of the lecture's table, each with its wiring and the stop that has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from ui.learn import path
from ui.shell import LEARN


class Use(NamedTuple):
    """A use, what goes in and comes out, and the wiring that this asks for."""

    name: str
    example: str
    wiring: str
    stop: str


USES: Sequence[Use] = (
    Use("Language modelling", "the words so far → the next word", "many to many, one answer per step", "characters"),
    Use("Speech recognition", "sound, slice by slice → words", "many to many, unequal lengths", "translation"),
    Use("Machine translation", "“Hello, I am Usman” → “Hallo, ich bin Usman”", "encoder and decoder", "translation"),
    Use("Named entities", "“David lives in Munich” → person, place", "many to many, both directions", "directions"),
    Use("Sentiment", "“There is nothing to like in this movie” → negative", "many to one", "lengths"),
    Use("Video classification", "picture after picture → “punching”", "many to one", "lengths"),
    Use("Image captioning", "one picture → a sentence", "one to many", "captions"),
)


def uses(slug: str) -> None:
    """Show the table, with links to the other stops."""
    with st.expander("What such networks are used for, and the wiring that each use needs", key="learn-uses"):
        for use in USES:
            with st.container(horizontal=True, vertical_alignment="center", key=f"learn-use-{use.name}"):
                st.markdown(f"**{use.name}**: {use.example}. Wiring: {use.wiring}.")
                if use.stop == slug:
                    st.caption("This stop.")
                    continue
                label = f"{path.number(use.stop)} {path.PATH[use.stop]}"
                st.page_link(LEARN, label=label, icon=":material/arrow_forward:", query_params={"stop": use.stop})
