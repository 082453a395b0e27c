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
    "everyone|everybody|nobody / knows|thinks|believes|says / that the",
    "it / seems|appears|happens / that the",
    "I / know|think|believe|hope|heard / that the",
    "we / know|think|believe|hope|heard / that the",
    "of course all the",
)

PARTS = {
    "verb": phrases(
        "suggest|mean|evoke",
        "fill|define|suit / the",
        "are|were|stay|belong|remain|stayed / in the",
        "must|should|may / be|stay / in the",
        "are|feel / at home|most at home / in the",
        "can|must|should / always|usually|often / be / found|seen / in the",
    ),
    "degree": phrases("all|always|usually|often|really"),
    "relative": phrases(
        "we|I / saw|heard|met|remember|like|love",
        "that / we|I / saw|heard|met|remember|like|love",
        "my / father|mother|brother|sister / saw|met|remembers|loves",
        "that my / father|mother|brother|sister / saw|met|remembers|loves",
        "that / we|I / all / saw|remember|love",
        "that / we|I / saw|heard|met / one|that / morning|evening|day",
        "of / my|our / story|letter|song",
    ),
    "story": phrases(
        "that / we|I / saw|heard|met|drew|noticed", "that my / father|mother|brother|sister / saw|met|drew"
    ),
}

CLOUDS = Theme(
    name="clouds",
    title="Clouds … sky",
    openers=OPENERS,
    pairs=PLACES,
    parts=PARTS,
    patterns=("degree? verb", "relative degree? verb", "story fill degree? verb"),
    stops=False,
    first_joiners=("while", "when", "before", "after"),
    joiners=("and",),
)


def build(gap: int, length: int, wiring: Wiring) -> Cloze:
    """Clouds at one gap; T ≥ gap + 5 (checked by ``tasks.build``)."""
    return Cloze(CLOUDS, gap, length, wiring)
