"""A small bilingual grammar: English sentences, and what each of them is in German, put together part by part.

What changes places: a time goes before the object, a separable verb's particle to the end ("I throw away the letter
today": "ich werfe heute den Brief weg"); what comes first brings the verb to the second place ("today I …": "heute
werfe ich …"); beside a modal and in a subordinate clause the verb goes to the end, in the clause behind a comma that
English has not ("I know that you see it": "ich weiß , dass du es siehst"). An article and an adjective agree with the
noun that follows them, in gender and case. One English sentence has one German one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from tasks.base import PAD, Array, Ints
from tasks.slots import PADDING, packed, table

START, END = "<START>", "<END>"
HELD_OUT_SHARE = 8
"""One sentence in so many is held out."""
LECTURE = ("hello", ",", "I", "am", "Usman")

SINGULAR_1, SINGULAR_2, SINGULAR_3, PLURAL = range(4)
SUBJECTS = (
    ("I", "ich", SINGULAR_1),
    ("you", "du", SINGULAR_2),
    ("he", "er", SINGULAR_3),
    ("she", "sie", SINGULAR_3),
    ("we", "wir", PLURAL),
    ("they", "sie", PLURAL),
    ("David", "David", SINGULAR_3),
    ("Anna", "Anna", SINGULAR_3),
    ("Usman", "Usman", SINGULAR_3),
    ("my brother", "mein Bruder", SINGULAR_3),
    ("the teacher", "der Lehrer", SINGULAR_3),
    ("our neighbours", "unsere Nachbarn", PLURAL),
)
VERBS = (
    ("see", "sees", "sehe siehst sieht sehen", ""),
    ("buy", "buys", "kaufe kaufst kauft kaufen", ""),
    ("read", "reads", "lese liest liest lesen", ""),
    ("find", "finds", "finde findest findet finden", ""),
    ("need", "needs", "brauche brauchst braucht brauchen", ""),
    ("copy", "copies", "schreibe schreibst schreibt schreiben", "ab"),
    ("throw away", "throws away", "werfe wirfst wirft werfen", "weg"),
    ("look at", "looks at", "sehe siehst sieht sehen", "an"),
    ("bring along", "brings along", "bringe bringst bringt bringen", "mit"),
)
"""Beside "I", "you" and "we"; beside "she"; the German forms, of which the last is the infinitive as well; and what a
separable verb puts at the end of a main clause, and in front of itself where it stands at the end."""
MODALS = (
    ("can", "can", "kann kannst kann können"),
    ("must", "must", "muss musst muss müssen"),
    ("want to", "wants to", "will willst will wollen"),
)
NOUNS = (("book", "Buch", "n"), ("letter", "Brief", "m"), ("map", "Karte", "f"), ("newspaper", "Zeitung", "f"))
ARTICLES = (
    ("the", {"m": "den", "n": "das", "f": "die"}, {"m": "en", "n": "e", "f": "e"}),
    ("a", {"m": "einen", "n": "ein", "f": "eine"}, {"m": "en", "n": "es", "f": "e"}),
    ("my", {"m": "meinen", "n": "mein", "f": "meine"}, {"m": "en", "n": "es", "f": "e"}),
)
"""With the German article and the ending of an adjective behind it, both accusative."""
ADJECTIVES = (("old", "alt"), ("new", "neu"), ("small", "klein"))
TIMES = (
    ("today", "heute"),
    ("tomorrow", "morgen"),
    ("now", "jetzt"),
    ("every day", "jeden Tag"),
    ("in the evening", "am Abend"),
)
HEADS = (
    ("I know that", "ich weiß , dass"),
    ("she says that", "sie sagt , dass"),
    ("we hope that", "wir hoffen , dass"),
    ("David thinks that", "David glaubt , dass"),
)
GREETINGS = (("hello", "hallo"), ("good morning", "guten Morgen"), ("good evening", "guten Abend"))
I_AM = (("I am", "ich bin"), ("my name is", "ich heiße"))
NAMES = ("Usman", "David", "Anna", "Peter", "Maria", "Clark", "Florence", "Jordan")

GREETING, MAIN, FRONTED, CLAUSE = range(4)
MOST_WORDS = 15
"""English words of the longest sentence that there is."""
LONGER = 1
"""How many words a German sentence may have more than the English one."""


class Choice(NamedTuple):
    """Which sentences: of each, the kind and the place in its table of every part, -1 for none; int64 ``[B]``.

    In a greeting ``head`` is the greeting, ``modal`` the way to say who one is, and ``subject`` the name.
    """

    kind: Ints
    head: Ints
    subject: Ints
    modal: Ints
    verb: Ints
    thing: Ints
    time: Ints


class Pairs(NamedTuple):
    """Sentences in both languages, padded: ``english`` ``[B, MOST_WORDS]`` and ``german`` ``[B, MOST_WORDS + LONGER]``,
    with the number of words of each ``[B]``, and the place ``[B]`` of the English word that the last German word says.
    """

    english: Ints
    german: Ints
    english_words: Ints
    german_words: Ints
    said_last: Ints


class Grammar:
    """The vocabulary of both languages and the tables that sentences are put together from."""

    def __init__(self) -> None:
        things = [
            _thing(article, adjective, noun) for noun, article, adjective in product(NOUNS, ARTICLES, _ADJECTIVES)
        ]
        pairs = [*((a, b) for a, b, _ in SUBJECTS), *TIMES, *HEADS, *GREETINGS, *I_AM, *things]
        english = [text for text, _ in pairs] + [*NAMES, ","]
        german = [text for _, text in pairs] + [*NAMES, ","]
        for base, third, forms, particle in VERBS:
            english += [base, third]
            german += [forms, particle, *(particle + form for form in forms.split())]
        for base, third, forms in MODALS:
            english += [base, third]
            german.append(forms)
        self.english = _words(english)
        """Every English word, in alphabetical order."""
        everything = dict.fromkeys([*self.english, *_words(german)])
        self.vocabulary: tuple[str, ...] = (PAD, START, END, *everything)
        self.tokens = {word: token for token, word in enumerate(self.vocabulary)}

        def both(rows: Sequence[Sequence[str]]) -> tuple[Ints, Ints]:
            return tuple(self._table([row[side] for row in rows]) for side in (0, 1))  # type: ignore[return-value]

        self.subject, self.time, self.thing, self.head = both(SUBJECTS), both(TIMES), both(things), both(HEADS)  # type: ignore[arg-type]
        self.greeting, self.i_am = both(GREETINGS), both(I_AM)
        self.name = self._table(NAMES)
        self.person = np.array([person for *_, person in SUBJECTS], dtype=np.int64)
        self.verb = [self._table([verb[third] for verb in VERBS]) for third in (0, 1)]
        self.modal = [self._table([modal[third] for modal in MODALS]) for third in (0, 1)]
        # [person, verb]: a form is one word.
        self.finite = np.array([[self.tokens[verb[2].split()[p]] for verb in VERBS] for p in range(4)])
        self.final = np.array([[self.tokens[verb[3] + verb[2].split()[p]] for verb in VERBS] for p in range(4)])
        self.particle = np.array([self.tokens[verb[3]] if verb[3] else PADDING for verb in VERBS])
        self.modal_finite = np.array([[self.tokens[modal[2].split()[p]] for modal in MODALS] for p in range(4)])
        self.comma = self.tokens[","]
        # Fixed odd numbers: which sentences are held out is the same at every gap, in every run and on every machine.
        self._marks = np.random.default_rng(0).integers(1, 2**63, MOST_WORDS, dtype=np.uint64) | np.uint64(1)
        self._lecture = self._table([" ".join(LECTURE)])[0]

    def _table(self, texts: Sequence[str]) -> Ints:
        return table([tuple(text.split()) for text in texts], self.tokens)

    def compose(self, choice: Choice) -> Pairs:
        """The sentences of a choice, in both languages; every part has a column, empty where it is absent."""
        greets = choice.kind == GREETING
        clause, fronted = choice.kind == CLAUSE, choice.kind == FRONTED
        has_modal, has_time = ~greets & (choice.modal >= 0), ~greets & (choice.time >= 0)
        person = np.where(greets, 0, self.person[choice.subject % len(SUBJECTS)])
        third = ~greets & (person == SINGULAR_3)

        def part(rows: Ints, which: Ints, there: Array) -> Ints:
            return np.where(there[:, None], rows[which % len(rows)], PADDING)

        def word(tokens: Ints, there: Array) -> Ints:
            return np.where(there, tokens, PADDING)[:, None]

        said, spoken = self.greeting[0], self.i_am[0]
        before = [
            part(said, choice.head, greets),
            word(np.full(len(greets), self.comma), greets),
            part(spoken, choice.modal, greets),
            part(self.name, choice.subject, greets),
            part(self.head[0], choice.head, clause),
            part(self.time[0], choice.time, fronted),
            part(self.subject[0], choice.subject, ~greets),
        ]
        modal = [part(self.modal[one], choice.modal, has_modal & (third == one)) for one in (0, 1)]
        verb = [part(self.verb[one], choice.verb, ~greets & ((third & ~has_modal) == one)) for one in (0, 1)]
        things = part(self.thing[0], choice.thing, ~greets)
        english, english_words = packed(
            [*before, *modal, *verb, things, part(self.time[0], choice.time, has_time & ~fronted)], MOST_WORDS
        )
        finite = np.where(
            has_modal,
            self.modal_finite[person, choice.modal % len(MODALS)],
            self.finite[person, choice.verb % len(VERBS)],
        )
        # The infinitive is the last form; a clause's verb without a modal is finite, with its particle in front.
        last = self.final[np.where(has_modal, PLURAL, person), choice.verb % len(VERBS)]
        german, german_words = packed(
            [
                part(self.greeting[1], choice.head, greets),
                word(np.full(len(greets), self.comma), greets),
                part(self.i_am[1], choice.modal, greets),
                part(self.name, choice.subject, greets),
                part(self.head[1], choice.head, clause),
                part(self.time[1], choice.time, fronted),
                word(finite, fronted),
                part(self.subject[1], choice.subject, ~greets),
                word(finite, choice.kind == MAIN),
                part(self.time[1], choice.time, has_time & ~fronted),
                part(self.thing[1], choice.thing, ~greets),
                word(self.particle[choice.verb % len(VERBS)], ~greets & ~clause & ~has_modal),
                word(last, ~greets & (clause | has_modal)),
                word(finite, clause & has_modal),
            ],
            MOST_WORDS + LONGER,
        )
        to_modal = _lengths(before)
        to_verb = to_modal + _lengths(modal)
        to_noun = to_verb + _lengths(verb) + _lengths([things]) - 1
        at_end = clause | has_modal | (self.particle[choice.verb % len(VERBS)] != PADDING)
        said_last = np.where(clause & has_modal, to_modal, np.where(at_end, to_verb, to_noun))
        return Pairs(english, german, english_words, german_words, np.where(greets, english_words - 1, said_last))

    def is_held_out(self, english: Ints) -> Array:
        """Which of the sentences ``[B, MOST_WORDS]`` are never trained on, ``[B]``."""
        mixed = (english.astype(np.uint64) * self._marks).sum(axis=1, dtype=np.uint64)
        mixed ^= mixed >> np.uint64(33)
        mixed *= self._marks[0]
        mixed ^= mixed >> np.uint64(29)
        lecture = np.zeros(MOST_WORDS, dtype=np.int64)
        lecture[: len(self._lecture)] = self._lecture
        return np.asarray((mixed % np.uint64(HELD_OUT_SHARE) == 0) | (english == lecture).all(axis=1))

    def parsed(self, english: Sequence[int]) -> Pairs | None:
        """The pair of which these are the English words; None where they are no sentence of the grammar."""
        words = tuple(int(word) for word in english)
        modal, verb = (np.concatenate(tables) for tables in (self.modal, self.verb))
        phrase = [(self.subject[0], 1), (modal, 0), (verb, 1), (self.thing[0], 1)]
        time = self.time[0]
        comma = np.array([[self.comma]])
        orders = {
            GREETING: [(self.greeting[0], 1), (comma, 1), (self.i_am[0], 1), (self.name, 1)],
            MAIN: [*phrase, (time, 0)],
            FRONTED: [(time, 1), *phrase],
            CLAUSE: [(self.head[0], 1), *phrase, (time, 0)],
        }
        for kind, order in orders.items():
            for way in _ways(words, order):
                if kind == GREETING:
                    found = (kind, way[0], way[3], way[2], 0, 0, -1)
                else:
                    head, at = (way[0], 1) if kind in (CLAUSE, FRONTED) else (0, 0)
                    s, m, v, thing = way[at : at + 4]
                    m, v = m if m < 0 else m % len(MODALS), v % len(VERBS)
                    found = (kind, head, s, m, v, thing, head if kind == FRONTED else way[-1])
                pair = self.compose(Choice(*(np.array([one], dtype=np.int64) for one in found)))
                if tuple(pair.english[0, : len(words)]) == words and pair.english_words[0] == len(words):
                    return pair  # otherwise the verb does not agree with its subject
        return None


_ADJECTIVES = (None, *ADJECTIVES)


def _thing(
    article: tuple[str, dict[str, str], dict[str, str]], adjective: tuple[str, str] | None, noun: tuple[str, str, str]
) -> tuple[str, str]:
    """An object in both languages: article, adjective, noun."""
    (the, der, ending), (english, german, gender) = article, noun
    if adjective is None:
        return f"{the} {english}", f"{der[gender]} {german}"
    old, alt = adjective
    the = "an" if the == "a" and old[0] in "aeiou" else the
    return f"{the} {old} {english}", f"{der[gender]} {alt}{ending[gender]} {german}"


def _ways(words: tuple[int, ...], order: Sequence[tuple[Ints, int]]) -> Iterator[tuple[int, ...]]:
    """Every way to read the words as one phrase of each table in its order: the phrases' rows, -1 for one left out,
    which a table may be that is marked with 0."""
    if not order:
        if not words:
            yield ()
        return
    (rows, needed), *rest = order
    for row, phrase in enumerate(rows):
        said = tuple(int(word) for word in phrase if word != PADDING)
        if words[: len(said)] == said:
            yield from ((row, *way) for way in _ways(words[len(said) :], rest))
    if not needed:
        yield from ((-1, *way) for way in _ways(words, rest))


def _words(texts: Sequence[str]) -> list[str]:
    return sorted({word for text in texts for word in text.split()})


def _lengths(columns: Sequence[Ints]) -> Ints:
    total = sum((column != PADDING).sum(axis=1) for column in columns)
    return np.asarray(total, dtype=np.int64)


def sentence(words: Sequence[str]) -> str:
    """Words as a person writes them: no space before a comma, no ends, a capital at the beginning."""
    text = " ".join(word for word in words if word not in (START, END, PAD)).replace(" ,", ",")
    return text[:1].upper() + text[1:]


@cache
def grammar() -> Grammar:
    """The one grammar, for every gap."""
    return Grammar()
