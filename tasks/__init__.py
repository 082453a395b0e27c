"""Synthetic tasks whose dependency length the user sets. One literal table; numpy only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tasks import (
    adding,
    captions,
    characters,
    clouds,
    cloze,
    copying,
    delayed_recall,
    entities,
    france,
    order,
    sentiment,
    temporal_order,
    translation,
    words,
)
from tasks import text as text_task
from tasks.base import Batch, Task, Wiring

__all__ = ["LONGEST", "TASKS", "Batch", "Task", "TaskInfo", "Wiring", "build", "check"]

LONGEST = 1000
"""The longest T that may be asked for where a task's length may exceed what its gap needs."""


@dataclass(frozen=True)
class TaskInfo:
    """A task as a person chooses it.

    ``overhead(gap)`` is the T that a gap needs; ``own_length`` is True where T may exceed it. ``wirings``: the first
    is the default. ``build(gap, length, wiring)`` makes the task from values that were checked; where there is an
    ``own_text`` it is ``build(gap, length, wiring, text)``.
    """

    name: str
    title: str
    question: str
    min_gap: int
    max_gap: int
    default_gap: int
    wirings: tuple[Wiring, ...]
    own_length: bool
    overhead: Callable[[int], int]
    overhead_text: str
    gap_meaning: str
    """What the gap is in this task, in one sentence."""
    build: Callable[..., Task]
    models: tuple[str, ...] = ("recurrent",)
    """The kinds of ``models.kinds.MODELS`` that can be trained on it; the first is the default."""
    lecture: bool = False
    """Whether it is one of the lecture's systems, which are listed after the memory tasks."""
    bidirectional: bool = False
    """Whether reading it in two directions makes sense: not where the next input is the answer."""
    softmaxes: tuple[str, ...] = ("full",)
    """The softmaxes over its words that can be trained; the first is the default."""
    own_text: str | None = None
    """The text that it is about where a person brings none; None where the task is about no text."""
    lengths: bool = False
    """Whether its samples differ in length, so that padding fills them up."""
    bridge: bool = False
    """Whether a decoder takes over from an encoder."""
    pictures: bool = False
    """Whether each sample comes with a picture."""


ONE: Wiring = "many-to-one"
MANY: Wiring = "many-to-many"

TASKS: Mapping[str, TaskInfo] = {
    info.name: info
    for info in (
        TaskInfo(
            name="france",
            title="France … French",
            question="Which language follows from a country named many words ago?",
            min_gap=2,
            max_gap=500,
            default_gap=40,
            wirings=(ONE, MANY),
            own_length=True,
            overhead=cloze.overhead,
            overhead_text="gap + 5",
            gap_meaning="How many words after the country the blank stands, where its language is asked for.",
            build=france.build,
        ),
        TaskInfo(
            name="clouds",
            title="Clouds … sky",
            question="Which place follows from a thing named a few words ago?",
            min_gap=2,
            max_gap=40,
            default_gap=4,
            wirings=(ONE, MANY),
            own_length=True,
            overhead=cloze.overhead,
            overhead_text="gap + 5",
            gap_meaning="How many words after the thing the blank stands, where its place is asked for.",
            build=clouds.build,
        ),
        TaskInfo(
            name="copy",
            title="Copy",
            question="Can ten symbols be said again after a wait?",
            min_gap=1,
            max_gap=1000,
            default_gap=40,
            wirings=(MANY,),
            own_length=False,
            overhead=copying.overhead,
            overhead_text="gap + 20",
            gap_meaning="How many timesteps are waited between the last of the ten symbols and saying them again.",
            build=copying.Copy,
        ),
        TaskInfo(
            name="adding",
            title="Adding",
            question="Can two marked numbers, far apart, be added up?",
            min_gap=2,
            max_gap=1000,
            default_gap=40,
            wirings=(ONE,),
            own_length=False,
            overhead=adding.overhead,
            overhead_text="gap",
            gap_meaning="How many numbers the sequence has; the two marked ones lie somewhere in it.",
            build=adding.Adding,
        ),
        TaskInfo(
            name="temporal_order",
            title="Temporal order, 2 symbols",
            question="In which order did two symbols come, long before the end?",
            min_gap=10,
            max_gap=1000,
            default_gap=50,
            wirings=(ONE,),
            own_length=False,
            overhead=temporal_order.overhead,
            overhead_text="gap",
            gap_meaning="How long the sequence is; the symbols come well before its end, where it is answered.",
            build=temporal_order.build_two,
        ),
        TaskInfo(
            name="temporal_order_3",
            title="Temporal order, 3 symbols",
            question="In which order did three symbols come, long before the end?",
            min_gap=10,
            max_gap=1000,
            default_gap=50,
            wirings=(ONE,),
            own_length=False,
            overhead=temporal_order.overhead,
            overhead_text="gap",
            gap_meaning="How long the sequence is; the symbols come well before its end, where it is answered.",
            build=temporal_order.build_three,
        ),
        TaskInfo(
            name="delayed_recall",
            title="Delayed recall",
            question="Is the first symbol still known at the end, after a stream of others?",
            min_gap=1,
            max_gap=1000,
            default_gap=40,
            wirings=(ONE, MANY),
            own_length=False,
            overhead=delayed_recall.overhead,
            overhead_text="gap + 1",
            gap_meaning="How many timesteps after a symbol it is asked for.",
            build=delayed_recall.DelayedRecall,
        ),
        TaskInfo(
            name="text",
            title="Characters",
            question="Which character comes next, given those so far?",
            min_gap=1,
            max_gap=200,
            default_gap=3,
            wirings=(MANY, ONE),
            own_length=False,
            overhead=text_task.overhead,
            overhead_text="gap + 1",
            gap_meaning="How many characters before the newest one are read when the last prediction is made.",
            build=text_task.Text,
            lecture=True,
            own_text=text_task.HELLO,
        ),
        TaskInfo(
            name="entities",
            title="Named entities",
            question="Is a name a person's or a place's, where only what follows tells?",
            min_gap=1,
            max_gap=60,
            default_gap=4,
            wirings=(MANY,),
            own_length=False,
            overhead=entities.overhead,
            overhead_text="gap + 14",
            gap_meaning="How many words after a name the word stands that tells whether it is a person or a place.",
            build=entities.Entities,
            lecture=True,
            bidirectional=True,
            lengths=True,
        ),
        TaskInfo(
            name="translation",
            title="Translation",
            question="Which German sentence says what an English one says?",
            min_gap=5,
            max_gap=15,
            default_gap=8,
            wirings=(MANY,),
            own_length=False,
            overhead=translation.overhead,
            overhead_text="2 × gap + 2",
            gap_meaning="How many words the longest English sentence has; all of it is read before a word is written.",
            build=translation.Translation,
            lecture=True,
            lengths=True,
            bridge=True,
        ),
        TaskInfo(
            name="sentiment",
            title="Sentiment",
            question="Is the speaker content, in sentences of different lengths?",
            min_gap=2,
            max_gap=200,
            default_gap=8,
            wirings=(ONE,),
            own_length=True,
            overhead=sentiment.overhead,
            overhead_text="gap + 11",
            gap_meaning=(
                "How many words after the first of the two that decide the longest sentences go on; words of a length "
                "beyond gap + 11 stand in front of the sentences that success is measured on, and of no other."
            ),
            build=sentiment.Sentiment,
            models=("recurrent", "feedforward", "convolution", "bag"),
            lecture=True,
            lengths=True,
        ),
        TaskInfo(
            name="order",
            title="Order",
            question="Which of two words came first, where the words are the same either way?",
            min_gap=4,
            max_gap=500,
            default_gap=8,
            wirings=(ONE,),
            own_length=False,
            overhead=order.overhead,
            overhead_text="gap + 1",
            gap_meaning="How many words after the first of the two that decide the sentence ends.",
            build=order.Order,
            models=("recurrent", "bag", "convolution", "feedforward"),
            lecture=True,
        ),
        TaskInfo(
            name="captions",
            title="Captions",
            question="What does a small picture show, said in words?",
            min_gap=1,
            max_gap=8,
            default_gap=1,
            wirings=(MANY,),
            own_length=False,
            overhead=captions.overhead,
            overhead_text="9",
            gap_meaning="How many timesteps before the end of the longest caption the picture is looked at last: 1 at "
            "every word, 8 only at <START>.",
            build=captions.Captions,
            lecture=True,
            lengths=True,
            pictures=True,
        ),
        TaskInfo(
            name="words",
            title="Word language model",
            question="Which word comes next, and at the end, which only a word far back can tell?",
            min_gap=2,
            max_gap=500,
            default_gap=20,
            wirings=(MANY,),
            own_length=True,
            overhead=cloze.overhead,
            overhead_text="gap + 5",
            gap_meaning="How many words before the language its country stands; every next word is asked for.",
            build=words.Words,
            lecture=True,
            softmaxes=("full", "adaptive", "hierarchical", "nce"),
        ),
    )
}


def check(
    name: str, gap: int, length: int | None = None, wiring: str | None = None, text: str | None = None
) -> tuple[int, Wiring]:
    """The length T and the wiring that a request comes to, with defaults filled in; allocates nothing.

    Raises ``ValueError`` with one sentence where the task is unknown or a value is out of its limits.
    """
    if name not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, but got {name!r}")
    info = TASKS[name]
    _whole("gap", gap)
    if not info.min_gap <= gap <= info.max_gap:
        raise ValueError(f"gap must be from {info.min_gap} to {info.max_gap} for the task {name}, but got {gap}")
    checked_length = _length(info, gap, length)
    _text(info, checked_length, text)
    return checked_length, _wiring(info, wiring)


def build(name: str, gap: int, length: int | None = None, wiring: str | None = None, text: str | None = None) -> Task:
    """Make a task: ``length=None`` is the length that the gap needs, ``wiring=None`` the task's default, ``text=None``
    the task's own, where it is about one.

    Raises ``ValueError`` as ``check`` does.
    """
    checked_length, checked_wiring = check(name, gap, length, wiring, text)
    info = TASKS[name]
    if info.own_text is None:
        return info.build(gap, checked_length, checked_wiring)
    return info.build(gap, checked_length, checked_wiring, info.own_text if text is None else text)


def _length(info: TaskInfo, gap: int, length: int | None) -> int:
    needed = info.overhead(gap)
    if length is None:
        return needed
    _whole("length", length)
    if info.own_length and length < needed:
        raise ValueError(f"length must be at least {info.overhead_text} = {needed}, but got {length}")
    if info.own_length and length > LONGEST:
        raise ValueError(f"length must be at most {LONGEST}, but got {length}")
    if not info.own_length and length != needed:
        raise ValueError(
            f"length is set by the gap for the task {info.name} and must be {info.overhead_text} = {needed}, "
            f"but got {length}"
        )
    return length


def _text(info: TaskInfo, length: int, text: str | None) -> None:
    if info.own_text is None:
        if text is not None:
            which = ", ".join(name for name, other in TASKS.items() if other.own_text is not None)
            only = f" (only {which} is about one)" if which else ""
            raise ValueError(f"text must be left out for the task {info.name}{only}, but got {len(text)} characters")
        return
    asked = characters.checked(info.own_text if text is None else text)
    if length >= len(asked):
        raise ValueError(
            f"text must have more characters than a sequence has timesteps ({info.overhead_text} = {length}), but got "
            f"{len(asked)}"
        )


def _wiring(info: TaskInfo, wiring: str | None) -> Wiring:
    if wiring is None:
        return info.wirings[0]
    for known in info.wirings:
        if wiring == known:
            return known
    raise ValueError(f"wiring must be {' or '.join(info.wirings)} for the task {info.name}, but got {wiring!r}")


def _whole(parameter: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{parameter} must be a whole number, but got {value!r}")
