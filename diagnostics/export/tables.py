"""A run's records as CSV (RFC 4180, UTF-8): numbers as Python writes them, so that they read back exactly.

Cells hold numbers or text. Text that a spreadsheet would run as a formula gets a leading apostrophe; numbers are left
alone, so negative ones stay numbers. Not-a-number and infinity are the words ``nan``, ``inf`` and ``-inf``; an empty
cell means that nothing was measured there. Headers carry the unit in brackets, as in ``wall_s [s]``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from diagnostics.charts.series import watched
from diagnostics.export.summary import final_loss, summary
from diagnostics.measures.evidence import loss_known
from diagnostics.measures.seed_verdict import ORDER, verdict_over_seeds
from diagnostics.measures.seeds import groups
from diagnostics.measures.verdict import verdict
from diagnostics.records import BAND, COLUMNS, Run

Cell = str | int | float | None

_STARTS_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_STRIPPED_BY_SPREADSHEETS = " \t\r\n\v\f\0\ufeff\u00a0"


def safe_text(text: str) -> str:
    """``text`` as a cell that no spreadsheet takes for a formula: an apostrophe in front of one that it might.

    Control characters before a formula sign do not hide it. What UTF-8 cannot say becomes U+FFFD.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    if text.startswith(("\t", "\r")) or text.lstrip(_STRIPPED_BY_SPREADSHEETS).startswith(_STARTS_A_FORMULA):
        return "'" + text
    return text


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """One CSV table, each line ended by CR LF."""
    return "".join(_lines(header, rows))


def steps_csv(run: Run) -> str:
    """One line per training step: the step stream, and beside it the held-out measurement made before that step.

    A measurement made after the last step has a line of its own, with the step stream's cells empty.
    """
    return "".join(steps_lines(run))


def profiles_csv(run: Run) -> str:
    """One line per recorded profile, layer and timestep, in that order: the profile stream in long form.

    ``steps_back`` counts from the loss: 0 is the step that gives the answer. Columns without a layer axis
    (``input_grad``) are repeated for each layer.
    """
    return "".join(profiles_lines(run))


def summary_csv(runs: Sequence[Run]) -> str:
    """One line per run: what was asked for, how it ended, and its verdict's numbers."""
    header = [
        *("run", "name", "state", "task", "gap [tokens]", "cell", "clip", "seed", "steps [training steps]"),
        *("loss", "success [share]", "chance [share]", "verdict", "reach [steps]", "of [steps]"),
        *("decay [factor per step]", "half_life [steps]", "informative_grad [ratio]", "sentence", "detail"),
    ]
    return csv_text(header, (_summary_row(run) for run in runs))


def seeds_csv(runs: Sequence[Run]) -> str:
    """One line per group of runs that differ only in their seed: verdicts counted, and what the numbers span."""
    spreads = {
        "reach": "steps",
        "decay": "factor per step",
        "half_life_steps": "steps",
        "informative_grad": "ratio",
        "success": "share",
    }
    header = ["group", "runs", "seeds", *ORDER, "solved", "of [steps]"]
    parts = ("low", "median", "high", "seeds")
    header += [f"{n}_{p}" + (f" [{unit}]" if p != "seeds" else "") for n, unit in spreads.items() for p in parts]
    rows: list[list[Cell]] = []
    for group in groups(runs):
        said = verdict_over_seeds(group)
        kinds = dict(said.kinds)
        counts = [kinds.get(kind, 0) for kind in ORDER]
        numbers: list[Cell] = []
        for name in spreads:
            over = getattr(said, name)
            numbers += [*over] if over.seeds else [None, None, None, 0]
        ids = " ".join(run.id for run in group.runs)
        rows.append(
            [group.name, ids, " ".join(map(str, said.seeds)), *counts, said.solved, said.of, *numbers, said.sentence]
        )
    return csv_text([*header, "sentence"], rows)


def columns_csv() -> str:
    """What each column of the other tables means: its stream, axes, unit and meaning."""
    header = ["column", "stream", "axes", "unit", "meaning"]
    return csv_text(header, ([n, c.stream, " ".join(c.axes), c.unit, c.meaning] for n, c in COLUMNS.items()))


def steps_lines(run: Run) -> Iterator[str]:
    """The lines of :func:`steps_csv`, one by one."""
    step_names = [n for n, c in COLUMNS.items() if c.stream == "step" and n != "step" and n in run.records]
    eval_names = [n for n, c in COLUMNS.items() if c.stream == "eval" and n != "eval_step" and n in run.records]
    header = ["run", _titled("step"), *map(_titled, step_names), *map(_titled, eval_names)]
    steps = _by_step(run, "step", step_names)
    if not _told(run):
        at = step_names.index("loss")
        steps = {step: [*row[:at], None, *row[at + 1 :]] for step, row in steps.items()}
    evals = _by_step(run, "eval_step", eval_names)
    no_step: list[Cell] = [None] * len(step_names)
    no_eval: list[Cell] = [None] * len(eval_names)
    order = sorted({**steps, **evals})
    yield from _lines(header, ([run.id, s, *steps.get(s, no_step), *evals.get(s, no_eval)] for s in order))


def profiles_lines(run: Run) -> Iterator[str]:
    """The lines of :func:`profiles_csv`, one by one: a long run's table is larger than one wants in memory."""
    names = [n for n, c in COLUMNS.items() if c.stream == "profile" and "T" in c.axes and n in run.records]
    header = ["run", _titled("profile_step"), "layer", "timestep", "steps_back", "token"]
    for name in names:
        banded = COLUMNS[name].axes[-1] == "band"
        header += [f"{name}_{part} [{COLUMNS[name].unit}]" for part in BAND] if banded else [_titled(name)]
    yield from _lines(header, _profile_rows(run, names))


def _profile_rows(run: Run, names: Sequence[str]) -> Iterator[list[Cell]]:
    layered = next((run.records[n] for n in names if COLUMNS[n].axes[0] == "L"), None)
    if layered is None:
        return
    L, T = layered.shape[1:3]
    facts = run.facts
    loss_step = facts.loss_step if facts else T - 1
    tokens = (*facts.tokens, *[""] * T)[:T] if facts else ("",) * T
    for row, step in enumerate(run.records["profile_step"].tolist()):
        for layer in range(L):
            parts = [_timesteps(run.records[n][row], COLUMNS[n].axes, layer) for n in names]
            numbers = np.concatenate(parts, axis=1).tolist()  # [T, ·]
            for t in range(T):
                yield [run.id, step, layer, t, loss_step - t, tokens[t], *numbers[t]]


def _timesteps(values: np.ndarray[Any, Any], axes: tuple[str, ...], layer: int) -> np.ndarray[Any, Any]:
    """One profile's values of one layer as ``[T, 1]`` or, where banded, ``[T, 3]``."""
    values = values[layer] if axes[0] == "L" else values
    return values if axes[-1] == "band" else values[:, None]


def _by_step(run: Run, key: str, names: Sequence[str]) -> dict[int, list[Cell]]:
    columns = [run.records[name].tolist() for name in names]
    return {s: list(row) for s, *row in zip(run.records[key].tolist(), *columns, strict=True)}


def _told(run: Run) -> bool:
    """Whether a loss that is not a number is a result; of a watched run it may be that nobody said what it is."""
    return loss_known(run) or not watched(run)


def _summary_row(run: Run) -> list[Cell]:
    judged = verdict(run)
    told = summary(run, judged)
    loss: Cell = final_loss(run) if _told(run) else None
    success: tuple[Cell, Cell] = (None, None) if watched(run) else (judged.success, judged.chance)
    return [
        *(run.id, run.name, run.state, *(_plain(run.spec.get(key)) for key in ("task", "gap"))),
        *(run.cell or None, *(_plain(run.spec.get(key)) for key in ("clip", "seed"))),
        *(told["steps"], loss, *success, judged.kind, judged.reach, judged.of),
        *(judged.decay, judged.half_life_steps, judged.informative_grad, judged.sentence, run.detail),
    ]


def _plain(value: Any) -> Cell:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _titled(name: str) -> str:
    return f"{name} [{COLUMNS[name].unit}]"


def _lines(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    return safe_text(value) if isinstance(value, str) else repr(value)
