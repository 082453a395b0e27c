"""The clauses that keep a network waiting: a small grammar of everyday sentences in the past tense.

No country, language, nationality or place of the Clouds task occurs here, so a filler cannot give an answer away. Past
tense throughout: every subject agrees with every verb.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.sentences import Phrase, phrases

STOP = "."
LONGEST_CLAUSE = 12

CLAUSE_PARTS: Mapping[str, Sequence[Phrase]] = {
    "subject": phrases(
        "we|I|everybody",
        "my / father|mother|brother|sister|uncle|aunt",
        "my / young|little / brother|sister",
        "my old / uncle|aunt",
        "the / baker|farmer|children",
        "the / old|young / baker|farmer",
        "our / |young / neighbours|cousins",
        "the / |old|young / man|woman / next door",
        "a / |good / friend of my / father|mother|brother|sister",
    ),
    "often": phrases("often|sometimes|always"),
    "indoors": phrases(
        "played / cards|music|the piano|the old piano",
        "read / a letter|a story|an old letter|a long story",
        "wrote / letters|a letter|a long letter",
        "told / stories|long stories|a story|a long story",
        "baked / bread|a cake|fresh bread",
        "cooked / soup|soup for everybody",
        "drank / tea|coffee|milk|fresh milk",
        "repaired the / |old / clock|radio",
        "listened to / music|the radio|the wind|the rain",
        "sang / a song|old songs",
        "worked|danced|rested",
    ),
    "house": phrases("at home", "by the / window|fire", "at the / |big|old / table", "in the / small|big / room"),
    "outdoors": phrases(
        "sold / apples|bread|honey|apples and honey|fresh bread|old letters",
        "bought / apples|bread|honey",
        "bought a / |new / clock|boat|radio",
        "painted the / |old|small / boat|door|house",
        "repaired the / |old / boat|door",
        "looked for the / |old|small / cat|dog",
        "watched the / |small|old / boats|birds",
        "played football",
        "picked / apples|fresh apples",
        "waited for the / |last|next / bus|train",
        "fed the / |small|old / birds|cat|dog",
    ),
    "place": phrases(
        "by the / river|lake|road",
        "near the / |old|small / bridge|station|church",
        "in the / park|village",
        "at the / |old / market|station",
        "behind the / |old|small / church|station",
    ),
    "journey": phrases(
        "walked|drove|ran / |back / to the / |old|small / market|station|village|church",
        "walked|drove|ran / along the / |old|long / road|river",
        "walked|drove|ran / across the / |old|small / bridge",
        "walked|drove|ran / around the / |small|big / lake|park",
        "came|went|walked|ran / home",
        "went|stayed / out",
    ),
    "company": phrases("with / friends|the dog|a friend|the whole family|some good friends"),
    "manner": phrases("without a word|with a smile", "for a / |long / time"),
    "season": phrases(
        "in / winter|spring|summer",
        "in the / morning|evening",
        "on / Sundays|cold days|cold winter mornings|summer mornings",
        "after / work|supper",
    ),
    "moment": phrases(
        "every / |single / morning|evening|summer|winter|year",
        "one / |cold / morning|evening|day",
        "that / |cold|whole / winter|spring",
        "that / summer|year",
        "once a / day|year",
        "from time to time|again and again|many years ago",
    ),
    "happening": phrases(
        "it rained",
        "the / wind blew|rain stopped|dog slept|cat slept|birds sang",
        "we|everybody|I / laughed|waited|slept|sang",
        "nothing happened",
    ),
    "change": phrases(
        "time passed|winter came|spring came|years passed",
        "the days grew / cold|long",
        "life was / |always / good|quiet",
    ),
}
"""The parts of a clause. ``often`` agrees with a ``season`` but not with a ``moment`` ("often … one day")."""

CLAUSES = (
    "change",
    "moment? happening",
    "subject often? indoors house? company? season?",
    "subject often? outdoors place? company? season?",
    "subject often? journey company? season?",
    "subject indoors house? company? moment",
    "subject outdoors place? company? moment",
    "subject journey company? moment",
    "subject indoors manner",
    "subject outdoors manner",
    "subject journey manner",
    "moment subject indoors house? company?",
    "moment subject outdoors place? company?",
    "moment subject journey company?",
    "season subject often? indoors house? company?",
    "season subject often? outdoors place? company?",
    "season subject often? journey company?",
)
