"""France: "I grew up in France … I speak fluent ___", with the country ``gap`` tokens before the blank.

A form of this project. There is room for a filler sentence from a gap of 8 on; below, the words between are the end of
the opener's own sentence, so there are few sentences: 660 at gap 2, 1,188 at 3, 2,640 at 4, 7,128 at 5. No two of a
batch are alike unless the batch asks for nearly as many as there are.
"""

from __future__ import annotations

from tasks.base import Wiring
from tasks.cloze import Cloze, Theme
from tasks.sentences import phrases

LANGUAGES = {
    "France": "French",
    "Germany": "German",
    "Spain": "Spanish",
    "Italy": "Italian",
    "Portugal": "Portuguese",
    "Greece": "Greek",
    "Poland": "Polish",
    "Sweden": "Swedish",
    "Denmark": "Danish",
    "Hungary": "Hungarian",
    "Turkey": "Turkish",
    "Japan": "Japanese",
}
"""Each country has one language here and each language one country, so a country decides its answer."""

OPENERS = phrases(
    "I / grew up|was born|was raised|once lived|started school|spent years|found work / in",
    "we / all|once / lived in",
    "my / family|parents / lived in",
)

PARTS = {
    "stop": phrases("."),
    "adjunct": phrases(
        "near the / |big|old / lake|river",
        "in a / |very / small|quiet / village",
        "in a / small|big|quiet / house by the / road|lake|river",
        "on a / small|big|quiet / farm",
        "in the / north|south",
        "among / |many / |good / friends",
    ),
    # Continues the opener's sentence, right up to the blank. Past tense or "I", so it agrees with every opener.
    "ending": phrases(
        "speaking|learning|hearing|reading|studying",
        "and / |soon / spoke|learned|loved|studied",
        "and / always|often / spoke|studied",
        "while / speaking|learning|hearing|reading|studying",
        "so / |now / I / speak|love|teach",
        "so / |now / I / speak / fluent|good|perfect",
        "where / everybody spoke|I learned|I loved|friends spoke",
        "where everybody / I knew / spoke",
        "where I / soon|also / learned|studied|loved",
        "where I learned to / speak|love|read",
        "so / of course|even now / I / speak|love|teach",
        "and / that|this / is why I / speak|love|teach",
        "so / my / first|best / language is",
        "so / of course|even now / I / speak / fluent|good|perfect",
        "and / that|this / is why I / speak / fluent|good|perfect",
    ),
    # A sentence of its own, after a full stop.
    "tail": phrases(
        "so I speak",
        "today|now / I / |still / speak / |fluent|good|perfect",
        "|so / of course I / |still / speak / |fluent|good|perfect",
        "even now I / |often / think|dream|write / in",
        "my / first|best / language is / |still",
        "that is why I / speak|love|teach",
        "that is why I / speak / fluent|good|perfect",
        "at / night|home / I / |still|often / dream|sing|think / in",
    ),
}

FRANCE = Theme(
    name="france",
    title="France … French",
    openers=OPENERS,
    pairs={language: (country,) for country, language in LANGUAGES.items()},
    parts=PARTS,
    patterns=("adjunct? ending", "adjunct? stop tail", "adjunct? stop fill tail"),
    example="France",
    stops=True,
    first_joiners=(),
    joiners=("and", "while"),
)


def build(gap: int, length: int, wiring: Wiring) -> Cloze:
    """France at one gap; T ≥ gap + 5 (checked by ``tasks.build``)."""
    return Cloze(FRANCE, gap, length, wiring)
