"""Clouds: "everyone knows that the clouds are in the ___" → sky, the short dependency, on the machinery of France.

Each answer is a place with two things that are found there; the phrase between says "in the" for every one of them.
"""

from __future__ import annotations

from tasks.base import Wiring
from tasks.cloze import Cloze, Theme
from tasks.sentences import phrases

PLACES = {
    "sky": ("clouds", "stars"),
    "sea": ("fish", "whales"),
    "forest": ("deer", "wolves"),
    "desert": ("camels", "dunes"),
    "garden": ("roses", "tulips"),
    "school": ("pupils", "teachers"),
    "hospital": ("patients", "nurses"),
    "theatre": ("actors", "actresses"),
    "library": ("books", "librarians"),
    "harbour": ("ships", "sailors"),
    "prison": ("prisoners", "jailers"),
    "airport": ("planes", "pilots"),
}

OPENERS = phrases(
    "everyone|everybody|nobody / knows|thinks|says / that the",
    "it / seems|appears / that the",
    "I|we / know|think|hope|heard / that the",
    "of course all the",
)

PARTS = {
    # One word is not enough for "in the": with a gap of 2 the places stand bare ("the clouds suggest sky").
    "evocation": phrases("suggest|evoke|mean"),
    "verb": phrases(
        "fill|suit|need / the",
        "are / |always|often / in the",
        "|always|often / stay|belong|remain / in the",
        "must|should|may / |always|often / be|stay / in the",
        "are / |always|often / at home in the",
        "|always|often / feel at home in the",
        "can|must|should / |always|often / be seen in the",
    ),
    "relative": phrases(
        "|that / I|we / saw|drew|painted|like|love",
        "|that / my / father|mother|brother|sister / saw|drew|painted|loves",
        "|that / I|we / saw|drew|painted / one|that / |cold / morning|evening|day",
        "of / my|our / story|song",
    ),
    "story": phrases("that / I|we / saw|drew|painted", "that my / father|mother|brother|sister / saw|drew|painted"),
}

CLOUDS = Theme(
    name="clouds",
    title="Clouds … sky",
    openers=OPENERS,
    pairs=PLACES,
    parts=PARTS,
    patterns=("evocation", "verb", "relative verb", "story fill verb"),
    example="clouds",
    stops=False,
    first_joiners=("while", "when"),
    joiners=("and",),
)


def build(gap: int, length: int, wiring: Wiring) -> Cloze:
    """Clouds at one gap; T ≥ gap + 5 (checked by ``tasks.build``)."""
    return Cloze(CLOUDS, gap, length, wiring)
