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
        "the / baker|farmer|doctor|children",
        "the / old|young / baker|farmer|doctor",
        "our / |young / neighbours|cousins",
        "the / |old|young / man|woman / next door",
        "a / |good / friend of my / father|mother|brother|sister",
    ),
    "often": phrases("often|sometimes|usually|always"),
    "indoors": phrases(
        "played / cards|chess|music|the piano|the old piano",
        "read / the newspaper|a letter|a story|an old letter|a long story",
        "wrote / letters|a letter|a poem|a long letter|a short poem",
        "told / stories|long stories|a story|a long story",
        "baked / bread|apple cake|a cake|some fresh bread",
        "cooked / soup|rice|a big meal|soup for everybody",
        "drank / tea|coffee|milk|fresh milk",
        "drank a cup of / tea|coffee|milk",
        "repaired the / |old / clock|radio",
        "listened to / music|the radio|the wind|the rain",
        "sang / a song|old songs|a short song",
        "worked|danced|rested",
    ),
    "house": phrases("at home", "by the / window|fire", "at the / |big|old / table", "in the / small|big / room"),
    "outdoors": phrases(
        "sold / apples|bread|honey|apples and honey|fresh bread|old letters",
        "bought / apples|bread|honey|a hat|a new / hat|coat|bicycle",
        "painted the / |old|small / fence|boat|door",
        "repaired / the boat|the old boat|a bicycle|an old bicycle",
        "looked for / mushrooms|wild mushrooms|the / cat|dog",
        "watched the / |small|white / boats|birds|ducks",
        "played / football|games",
        "picked / apples|fresh apples",
        "waited for the / |last|next / bus|train",
        "fed the / |hungry / ducks|birds|cat|dog",
    ),
    "place": phrases(
        "by the / river|lake|road",
        "near the / |old|small / bridge|station|church",
        "in the / park|village|street",
        "at the / |old / market|station",
        "behind the / |old|small / church|station|house",
    ),
    "journey": phrases(
        "walked|drove|cycled|ran / |back / to the / |old|small / market|station|village|church",
        "walked|drove|cycled|ran / along the / |old|long / road|river",
        "walked|drove|cycled|ran / across the / |old|small / bridge",
        "walked|drove|cycled|ran / around the / |small|big / lake|park",
        "came|went|walked|ran / home",
        "went|stayed / out",
    ),
    "company": phrases("with / friends|the dog|a friend|the whole family|some good friends"),
    "manner": phrases("without a word|in silence|with a smile|for a / |long / while"),
    "season": phrases(
        "in / winter|spring|summer|the / morning|evening",
        "on / Sundays|Fridays|rainy days|long summer evenings|cold winter mornings",
        "after / work|supper",
        "during the / |long / holidays",
    ),
    "moment": phrases(
        "every / |single / morning|evening|Sunday|summer|winter|year",
        "one|that / |cold|rainy / morning|evening|day",
        "that / summer|winter|spring",
        "once a / week|month|year",
        "now and then|from time to time|again and again|many years ago",
    ),
    "happening": phrases(
        "it rained",
        "the / |church / bells rang",
        "the / wind blew|rain stopped|dog slept|cat slept|birds sang",
        "we|everybody|I / laughed|danced|waited|slept|sang",
        "nothing / |much / happened",
    ),
    "change": phrases(
        "time passed|winter came|spring came|summer ended|years passed",
        "the / days|evenings / |soon|slowly / grew / longer|shorter|colder|warmer",
        "life was / |always / good|simple|quiet|easy",
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
