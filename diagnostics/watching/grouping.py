"""From the lines of cells to passes: groups, layers, directions, and states as rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from torch import Tensor

from diagnostics.watching.lines import Line
from diagnostics.watching.matching import Memory
from diagnostics.watching.naming import class_name, detached, kind_of, spoken
from diagnostics.watching.passing import LayerPass, Pass
from diagnostics.watching.runs import AGAIN, in_order, numbers
from diagnostics.watching.selection import is_marked, returns_marked, said_by_others, select
from diagnostics.watching.shares import weight_of

UNSEEN_DIRECTION = (
    "whether the calls go forwards or backwards through the sequence cannot be seen: steps are counted in the order of "
    "the calls"
)
MARK = "mark them with w.state(h), brought to one shape [B,H]"


@dataclass
class Chosen:
    """The passes of a step, what is to be said about what is watched, and about what is not; ``marked``: the names of
    modules whose states a person marked."""

    passes: list[Pass] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    marked: set[str] = field(default_factory=set)


def choose(
    lines: Sequence[Line], memories: Mapping[str, Memory], marks: Collection[tuple[int, int]] = frozenset()
) -> Chosen:
    """What the lines of one training step come to; ``marks``: where in the graph the states are that a person marked,
    in ``graph.numbers``."""
    chosen = Chosen()
    for line in lines:
        line.settle()
    selected = select(lines, memories)
    theirs = [line for line in selected if is_marked(line, marks)]
    chosen.marked = {line.name for line in theirs}
    chosen.marked |= {name for name, memory in memories.items() if returns_marked(memory, marks)}
    for memory in memories.values():
        unsaid = memory.unclear and memory.name not in chosen.marked
        if unsaid and not said_by_others(memory, lines, selected):
            chosen.refusals.append(f"{spoken(memory)} {memory.unclear}.")
    for name in dict.fromkeys(line.name for line in theirs):
        chosen.sentences.append(
            f"{spoken(memories[name])}: its states are those marked by w.state, and shown as these."
        )
    weighed = not any(line.again for line in lines)
    selected = [line for line in selected if line not in theirs and line.recorded]
    found: list[tuple[int, int, Pass]] = []
    told: dict[tuple[str, str], list[Line]] = {}
    for name, direction, group in _groups(selected, memories):
        try:
            layers = [_layers(line) for line in group]
            if weighed:
                layers = [
                    _weighed(found, line, memories[line.name], selected)
                    for found, line in zip(layers, group, strict=True)
                ]
        except ValueError as reason:
            chosen.refusals.append(f"{spoken(memories[group[0].name])} {reason}.")
            continue
        memory = memories[group[0].name]
        runs = map(max, zip(*(line.recorded for line in group), strict=False))
        for run, answers, *together in zip(runs, group[-1].answers(), *layers, strict=False):
            one = Pass(
                group=name,
                kind=kind_of(memory),
                layers=tuple(layer for some in together for layer in some),
                class_name=class_name(memory.module),
                direction=direction or "forward",
                cuts=tuple(group[0].cuts),
                answers=answers,
            )
            found.append((run, group[0].spans[0][0], one))
        told.setdefault((name, direction), []).append(group[0])
    chosen.passes = in_order(found)
    for (name, direction), those in told.items():
        again = any(line.again for line in lines if line.name == those[0].name)
        chosen.sentences.append(_sentence(name, direction, those, memories[those[0].name], again=again))
    chosen.refusals = list(dict.fromkeys(chosen.refusals))
    return chosen


def _groups(lines: Sequence[Line], memories: Mapping[str, Memory]) -> list[tuple[str, str, list[Line]]]:
    """(name, direction, layers): cells of one list with equally many timesteps are the layers of a group."""
    modules: dict[str, list[Line]] = {}
    for line in sorted(lines, key=lambda line: line.spans[0][0]):
        modules.setdefault(line.name, []).append(line)
    lists: dict[tuple[object, ...], list[str]] = {}
    for name, those in modules.items():
        lists.setdefault(_list_of(name, those, memories[name]), []).append(name)
    groups: list[tuple[str, str, list[Line]]] = []
    for (prefix, *_), names in lists.items():
        directions = {name: _direction(name, modules) for name in names}
        two = {"forward", "reverse"} <= set(directions.values())
        for wanted in ("forward", "reverse") if two else ("",):
            of_it = [name for name in names if not wanted or (directions[name] or "forward") == wanted]
            of_it.sort(key=_numbers)
            title = str(prefix) if len(names) > 1 else names[0]
            title = title or class_name(memories[of_it[0]].module).rsplit(".", 1)[-1]
            arrow = {"forward": " →", "reverse": " ←", "": ""}[wanted]
            direction = wanted or next(filter(None, (directions[name] for name in of_it)), "")
            rounds = zip(*(modules[name] for name in of_it), strict=True)
            groups += [(title + arrow, direction, list(layers)) for layers in rounds]
    return groups


def _numbers(name: str) -> list[int]:
    return [int(part) for part in name.split(".") if part.isdigit()]


def _list_of(name: str, lines: Sequence[Line], memory: Memory) -> tuple[object, ...]:
    """Equal for modules that are layers of one group: the name without its last number, and what must agree."""
    parts = name.split(".")
    numbers = [at for at, part in enumerate(parts) if part.isdigit()]
    if not numbers or any(place[0] for line in lines for place in line.steps[0]):
        return (name, "alone")
    del parts[numbers[-1]]
    shapes = tuple((len(line.steps), tuple(line.steps[0][0, "h"].value.shape[1:]), *line.cuts) for line in lines)
    return ".".join(parts), class_name(memory.module), shapes


def _direction(name: str, modules: Mapping[str, Sequence[Line]], asked: tuple[str, ...] = ()) -> str:
    """Which way the inputs of a module's calls lie in what they are slices of, or in the outputs of another one that
    is walked itself; "" where that is not seen."""
    for line in modules[name]:
        for source in sorted(set(line.origins[0]).intersection(*line.origins), key=str):
            places = [origin[source] for origin in line.origins]
            onward, back = (all(one < other for one, other in pairwise(row)) for row in (places, places[::-1]))
            if not onward and not back:
                continue
            other = source[-1]
            if isinstance(other, int):  # the memory that they are slices of
                return "forward" if onward else "reverse"
            if other in modules and other not in (*asked, name):
                below = _direction(str(other), modules, (*asked, name))
                if below:
                    return below if onward else {"forward": "reverse", "reverse": "forward"}[below]
    return ""


def _weighed(
    passes: list[list[LayerPass]], line: Line, memory: Memory, selected: Sequence[Line]
) -> list[list[LayerPass]]:
    """The same with the recurrent weight's name and, where all calls of the module are in lines, with its sums."""
    weight = weight_of(memory.module) if memory.known or line.by_argument else ""
    if not weight or any(len(layers) > 1 for layers in passes):
        return passes
    all_there = sum(len(other.spans) for other in selected if other.name == line.name) == memory.calls
    sums = line.weight_sums(memory.module) if all_there else [None] * len(passes)
    name = f"{memory.name}.{weight}".lstrip(".")
    return [
        [replace(layer, weight=name, weight_sum=total) for layer in layers]
        for layers, total in zip(passes, sums, strict=True)
    ]


def _layers(line: Line) -> list[list[LayerPass]]:
    """For every backward pass the line's layers, each state a row per sample. Raises ``ValueError``."""
    shapes = {
        place: {tuple(step[place].value.shape) for step in line.steps if place in step} for place in line.steps[0]
    }
    for found in shapes.values():
        if len(found) > 1:
            raise ValueError(f"hands on states of different shapes, {' and '.join(map(str, sorted(found)))}: {MARK}")
    if any(set(step) != set(line.steps[0]) for step in line.steps):
        raise ValueError("hands on more states at some timesteps than at others: mark those of all with w.state(h)")
    return [[row for layer in one for row in _rows(layer, line.batch)] for one in line.passes()]


def _rows(layer: LayerPass, batch: int | None) -> list[LayerPass]:
    """[T,B,H] from states [T,H] of one sample, [T,B,·] and [T,L,B,H], which are L layers."""
    shape = tuple(layer.h.shape[1:])
    if len(shape) == 2:
        return [layer]
    if len(shape) < 2:
        return [_each(layer, lambda part: part.reshape(len(part), 1, -1))]
    if shape[0] == 1 and len(shape) == 3:
        return [_each(layer, lambda part: part[:, 0])]
    if batch is None or batch not in shape[:2] or (shape[0] == shape[1] and len(shape) == 3):
        raise ValueError(f"hands on states of shape {shape}, of which the batch's axis cannot be told: {MARK}")
    if shape[0] == batch:
        return [_each(layer, lambda part: part.flatten(2))]
    if len(shape) == 3:
        return [_each(layer, lambda part, i=i: part[:, i]) for i in range(shape[0])]
    raise ValueError(f"hands on states of shape {shape}, of which the batch's axis cannot be told: {MARK}")


def _each(layer: LayerPass, change: Callable[..., Tensor]) -> LayerPass:
    c, grad_c = layer.c, layer.grad_c
    return replace(
        layer,
        h=change(layer.h),
        grad_h=change(layer.grad_h),
        c=None if c is None else change(c),
        grad_c=None if grad_c is None else change(grad_c),
    )


def _sentence(name: str, direction: str, lines: Sequence[Line], memory: Memory, *, again: bool) -> str:
    """About the ``lines`` of a group's bottom layer, one for each sequence that it read."""
    of = f" of each of {len(lines)} sequences" if len(lines) > 1 else ""
    times = numbers([len(line.spans) for line in lines])
    words = [f"{name} ({class_name(memory.module)}): called once per timestep{of}, {times} times"]
    line = lines[0]
    states = "h and, by its direct path, c" if (0, "c") in line.steps[0] else "its state"
    if line.by_argument:
        states = "the tensor that it is called with"
    words.append(f"the total gradient of {states} by hooks on the tensors that are handed on")
    if line.templates:
        words.append("as they are after what changes them between two calls")
    if any(len(line.steps) < len(line.spans) for line in lines):
        words.append("the state after the last call is not seen (use w.state for it)")
    if not direction:
        words.append(UNSEEN_DIRECTION)
    if memory.beside:
        words.append("a second tensor goes around it (as an LSTM's c does) and is not seen: w.state(h, c=c) shows both")
    if again:
        words.append(AGAIN)
    return "; ".join([*words, *detached(lines)]) + "."
