"""The controls: what to train. Every widget has a key, is filled from a ``Settings`` and read back into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from diagnostics.measures import numbers
from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST, is_threshold
from experiments.spec import DEFAULT_GATE_BIAS, FIELDS, FieldInfo
from models.cells import CELLS
from models.kinds import MODELS
from tasks import TASKS, characters
from ui.address import TEXT_AT_MOST, parse, parse_list, quoted
from ui.settings import AXES, Settings, Value
from ui.words import listed, markdown

SETTINGS = "settings"
"""The session's settings, kept while another page is shown."""

CLIP_KINDS = {"none": "off", "norm": "by norm", "value": "by value"}
GAPS = (2, 3, 4, 5, 8, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000)
MORE = tuple(name for name in FIELDS if name not in (*AXES, "task", "text"))
RECURRENT_ONLY = ("init", "truncate")
"""What under More only a network with a recurrence has."""

CHOICES = ("model", "bidirectional", "softmax")
"""What several tasks of the lecture offer, and the others do not."""

LABELS = {"model": "Models", "bidirectional": "Directions", "softmax": "Softmax"}
TEXT_SHOWN = 60
SOFTMAX_TITLES = {"full": "full", "adaptive": "adaptive", "hierarchical": "hierarchical", "nce": "noise-contrastive"}
OWN_WORDS = {"wiring": "the task's own", "truncate": "off"}


def key(name: str) -> str:
    """The key of a field's widget."""
    return f"control_{name}"


def fill(settings: Settings) -> None:
    """Bring every widget to ``settings``."""
    state = st.session_state
    clips = [clip.partition(":") for clip in settings.axes["clip"]]
    state[key("task")] = settings.value("task")
    state[key("cell")] = list(settings.axes["cell"])
    state[key("clip")] = list(dict.fromkeys(kind for kind, _, _ in clips))
    for kind in ("norm", "value"):
        thresholds = [threshold for k, _, threshold in clips if k == kind]
        state[key(kind)] = ", ".join(f"{float(t):g}" for t in thresholds) or "1"
    gaps = settings.axes["gap"]
    state[key("gap")] = gaps[0]
    state[key("gaps")] = ", ".join(map(str, gaps)) if len(gaps) > 1 else ""
    state[key("seed")] = ", ".join(map(str, settings.axes["seed"]))
    biases = [DEFAULT_GATE_BIAS if b is None else b for b in settings.axes["gate_bias"]]
    only_usual = settings.axes["gate_bias"] == (None,)
    state[key("gate_bias")] = "" if only_usual else ", ".join(b if isinstance(b, str) else f"{b:g}" for b in biases)
    for name in CHOICES:
        offered = _offered(settings.value("task"), name)
        asked = [offered[0] if value is None else value for value in settings.axes[name]]
        state[key(name)] = [value for value in asked if value in offered]  # the others have no button
    for name in MORE:
        state[key(name)] = settings.value(name)
    state[key("text")] = settings.value("text") or ""
    state[SETTINGS] = settings


def filled() -> bool:
    """Whether the widgets have their values; not so in a new session, and after a look at another page."""
    return key("task") in st.session_state


def controls() -> tuple[Settings, list[str]]:
    """Show the controls; returns what they ask for, and a sentence for each entry that cannot be read."""
    said: list[str] = []
    task = st.selectbox(
        "Task", _tasks(), format_func=lambda name: TASKS[name].title, key=key("task"), on_change=_usual_gap
    )
    st.caption(TASKS[task].question)
    axes: dict[str, tuple[Value, ...]] = {name: _choice(name, task) for name in CHOICES}
    recurs = any(MODELS[name or TASKS[task].models[0]].recurrent for name in axes["model"])
    axes["cell"] = _cells(recurs)
    text = _text(task, said)
    slider = st.empty()
    axes["clip"] = _clipping(said)
    more = st.expander("More", key="more")
    with more:
        gaps = _list("gap", "Compare several gaps", said, widget="gaps", placeholder="for example 5, 40")
        usual = f"left empty: {DEFAULT_GATE_BIAS}"
        axes["gate_bias"] = (_list("gate_bias", "Gate bias", said, placeholder=usual) if recurs else ()) or (None,)
        axes["seed"] = _list("seed", "Seeds", said, help_="Several, separated by commas, are compared.")
        others = {"task": task, "text": text} | {
            name: _field(FIELDS[name], task, said) for name in MORE if recurs or name not in RECURRENT_ONLY
        }
    with slider.container():
        axes["gap"] = _several_gaps(gaps, task) if gaps else (_gap(task),)
    settings = Settings({name: axes[name] for name in AXES}).with_others(**others)
    st.session_state[SETTINGS] = settings
    return settings, said


def _tasks() -> list[str]:
    """The memory tasks, then the lecture's systems."""
    return sorted(TASKS, key=lambda name: TASKS[name].lecture)


def _offered(task: str, name: str) -> tuple[Value, ...]:
    """The values of a field of ``CHOICES`` that a task offers, the usual one first."""
    info = TASKS[task]
    return {
        "model": info.models,
        "bidirectional": (False, True) if info.bidirectional else (False,),
        "softmax": info.softmaxes,
    }[name]


def _title(name: str, value: Value) -> str:
    if name == "model":
        return MODELS[value].title
    if name == "bidirectional":
        return "two" if value else "one"
    return SOFTMAX_TITLES[value]


def _choice(name: str, task: str) -> tuple[Value, ...]:
    """The values that are compared, of those that the task offers; asked for only where it offers several."""
    offered = _offered(task, name)
    if len(offered) == 1:
        return (FIELDS[name].default,)
    chosen = st.pills(
        LABELS[name],
        offered,
        selection_mode="multi",
        format_func=lambda value: _title(name, value),
        key=key(name),
        help=_meanings(name, offered),
    )
    values = tuple(value for value in offered if value in chosen)
    return (None,) if name == "model" and values == offered[:1] else values


def _meanings(name: str, offered: Sequence[Value]) -> str:
    if name != "model":
        return _help(FIELDS[name])
    return "\n".join(f"- **{markdown(MODELS[kind].title)}**: {markdown(MODELS[kind].meaning)}" for kind in offered)


def _text(task: str, said: list[str]) -> str | None:
    """What the network is to learn, where the task is about a text; None for the task's own."""
    own = TASKS[task].own_text
    if own is None:
        return None
    text = st.text_area(
        "Text",
        key=key("text"),
        height=100,
        max_chars=characters.MOST_CHARACTERS,
        placeholder=own if len(own) <= TEXT_SHOWN else f"{own[:TEXT_SHOWN]}…",
        help=f"{markdown(FIELDS['text'].help)} More than {TEXT_AT_MOST:,} characters do not go into the address.",
    )
    if not text:
        return None
    try:
        return characters.checked(text)
    except ValueError as error:
        said.append(f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return None


def _cells(recurs: bool) -> tuple[str, ...]:
    """The cells that are compared; where no model has one, the usual one, and what was chosen is kept."""
    if not recurs:
        st.session_state[key("cell")] = st.session_state[key("cell")]  # a widget that is not shown would forget
        return (FIELDS["cell"].default,)
    chosen = st.pills(
        "Cells",
        list(CELLS),
        selection_mode="multi",
        format_func=lambda name: CELLS[name].title,
        key=key("cell"),
        help="\n".join(f"- **{markdown(cell.title)}**: {markdown(cell.meaning)}" for cell in CELLS.values()),
    )
    return tuple(name for name in CELLS if name in chosen)


def _gap(task: str) -> int:
    limits = TASKS[task]
    now = min(max(st.session_state[key("gap")], limits.min_gap), limits.max_gap)
    st.session_state[key("gap")] = now
    options = sorted({now, *(gap for gap in GAPS if limits.min_gap <= gap <= limits.max_gap)})
    return int(st.select_slider("Gap, in timesteps", options, key=key("gap"), help=TASKS[task].gap_meaning))


def _several_gaps(gaps: tuple[Value, ...], task: str) -> tuple[Value, ...]:
    """In the slider's place, what is compared instead of one gap, and the way back."""
    st.session_state[key("gap")] = st.session_state[key("gap")]  # a widget that is not shown would forget
    said = listed([str(gap) for gap in gaps])
    st.markdown(f"Gap, in timesteps: **{said}**", help=TASKS[task].gap_meaning)
    st.button("Back to one gap", icon=":material/undo:", key="one-gap", on_click=_one_gap)
    return gaps


def _one_gap() -> None:
    st.session_state[key("gaps")] = ""


def _usual_gap() -> None:
    """Another task begins with its own gap: forty steps are long for clouds and short for copying. So with models."""
    st.session_state[key("gap")] = TASKS[st.session_state[key("task")]].default_gap
    st.session_state[key("gaps")] = ""
    if st.session_state[key("wiring")] not in TASKS[st.session_state[key("task")]].wirings:
        st.session_state[key("wiring")] = None
    for name in CHOICES:
        st.session_state[key(name)] = [_offered(st.session_state[key("task")], name)[0]]


def _clipping(said: list[str]) -> tuple[str, ...]:
    kinds = st.pills(
        "Clipping",
        list(CLIP_KINDS),
        selection_mode="multi",
        format_func=CLIP_KINDS.__getitem__,
        key=key("clip"),
        help="By norm scales the whole gradient down to the threshold; by value cuts each entry. Choose several to "
        "compare them.",
    )
    clips = ["none"] if "none" in kinds else []
    for kind in ("norm", "value"):
        text = st.session_state[key(kind)]
        if kind in kinds:
            text = st.text_input(
                f"Threshold {CLIP_KINDS[kind]}", key=key(kind), help="Several, separated by commas, are compared."
            )
            clips += _thresholds(kind, text, said)
        else:
            st.session_state[key(kind)] = text  # a widget that is not shown would forget
    return tuple(clips)


def _thresholds(kind: str, text: str, said: list[str]) -> list[str]:
    try:
        return [_threshold(kind, part.strip()) for part in text.split(",")]
    except ValueError as error:
        said.append(f"{error}.")
        return []


def _threshold(kind: str, text: str) -> str:
    rule = f"the threshold {CLIP_KINDS[kind]} must be a number"
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{rule}, but got {quoted(text) if text else 'none'}") from None
    if not is_threshold(number):
        raise ValueError(f"{rule} from {THRESHOLD_LEAST:g} to {THRESHOLD_MOST:g}, but got {quoted(text)}")
    return str(parse("clip", f"{kind}:{text}"))


def _list(
    name: str, label: str, said: list[str], *, widget: str = "", placeholder: str = "", help_: str = ""
) -> tuple[Value, ...]:
    text = st.text_input(
        label, key=key(widget or name), placeholder=placeholder or None, help=help_ or FIELDS[name].help
    )
    if not text.strip():
        return () if FIELDS[name].default is None or widget else (FIELDS[name].default,)
    try:
        return parse_list(name, text)
    except ValueError as error:
        said.append(f"{error}.")
        return ()


def _field(info: FieldInfo, task: str, said: list[str]) -> Value:
    """The widget that a field's kind asks for. Limits are not enforced here: the spec refuses, in a sentence."""
    shared: dict[str, Any] = {"key": key(info.name), "help": _help(info)}
    if info.kind in ("int", "float"):
        form: dict[str, Any] = {"step": 1} if info.kind == "int" else {"step": 0.001, "format": "%g"}
        empty = OWN_WORDS.get(info.name, "as needed") if info.default is None else f"usually {info.default:g}"
        value = st.number_input(info.label, value=None, placeholder=empty, **form, **shared)
        if value is None and info.default is not None:
            said.append(f"{info.label} is empty: fill it in (under More; usually {info.default:g}).")
        return value
    if info.name == "init":
        choices = [choice.replace(":F", ":1.5") for choice in info.choices]
        return st.selectbox(info.label, choices, accept_new_options=True, **shared)
    choices = list(TASKS[task].wirings) if info.name == "wiring" else list(info.choices)
    options = [*([None] if info.default is None else []), *choices]
    return st.selectbox(
        info.label, options, format_func=lambda v: OWN_WORDS.get(info.name, "") if v is None else v, **shared
    )


def _help(info: FieldInfo) -> str:
    limits = ""
    if info.minimum is not None and info.maximum is not None:
        low, high = (
            f"{bound:,.0f}" if info.kind == "int" else numbers.number(bound) for bound in (info.minimum, info.maximum)
        )
        limits = f" From {low} to {high}{' ' + info.unit if info.unit else ''}."
    return markdown(info.help + limits)
