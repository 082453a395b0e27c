"""What a watched training says: reach by layer and direction, verdicts, figures, a table, and how a notebook shows it.

Everything is read from the runs in the store, while they grow and after they have ended.
"""

from __future__ import annotations

import csv
import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from diagnostics.measures.decay import decay, half_life
from diagnostics.measures.numbers import number, rate
from diagnostics.measures.profile import profile_column, typical_profile
from diagnostics.measures.reach import REACH_THRESHOLD, reach
from diagnostics.measures.verdict import Verdict, verdict
from diagnostics.records import BAND, COLUMNS, Array, Records, Run, TaskFacts
from diagnostics.watching.trust import Overhead

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.charts.palette import ThemeName

Reach = int | Literal["all"]

_MEDIAN = BAND.index("median")

_WORST = ("diverged", "exploding", "vanishing", "fades", "reaches", None)


@dataclass(frozen=True)
class Row:
    """One layer of one recurrent part; ``layer`` counts from 1. Numbers that there are none of are nan or None."""

    part: str
    layer: int
    reach: Reach | None
    of: int
    decay_per_step: float
    half_life_steps: float
    at_first: float
    """Gradient at the farthest step that matters ÷ gradient at the loss."""
    verdict: str


class Table(Sequence[Row]):
    """The rows, in words and as HTML; ``meaning`` says what the numbers are of."""

    HEAD = ("part", "layer", "reach", "of", "decay per step", "half-life", "gets of the gradient", "verdict")

    def __init__(self, rows: Sequence[Row], meaning: str) -> None:
        self._rows = tuple(rows)
        self.meaning = meaning

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                row.part,
                str(row.layer),
                "–" if row.reach is None else str(row.reach),
                str(row.of),
                _or_dash(row.decay_per_step, rate),
                _or_dash(row.half_life_steps, number),
                _or_dash(row.at_first, number),
                row.verdict,
            )
            for row in self._rows
        ]

    def __str__(self) -> str:
        lines = [self.HEAD, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([*(line.rstrip() for line in drawn), self.meaning])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.HEAD)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{html.escape(self.meaning)}</p>"

    def to_csv(self, path: str | Path) -> None:
        """Write the rows as numbers, with a line of names; numbers that there are none of are ``nan`` or empty."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(Row.__dataclass_fields__)
            writer.writerows([getattr(row, name) for name in Row.__dataclass_fields__] for row in self._rows)


def part_of(run: Run) -> str:
    """The recurrent part of the model that a run is of."""
    return str(run.spec["watched"]["module"])


def by_layer(run: Run) -> list[Run]:
    """The run as if it had but one layer, for each, bottom first; nothing before the first profile.

    Below the top layer a gradient comes at every timestep, from both directions of the layer above. Where the walk goes
    on beyond the loss for longer than it has come, as in reverse with an answer at the last timestep, lags are counted
    that way: away from the loss in time, as everywhere.
    """
    column = profile_column(run.records)
    if run.facts is None or column is None:
        return []
    kept = {name: values for name, values in run.records.items() if "L" not in COLUMNS[name].axes}
    found = []
    for layer in range(run.records[column].shape[1]):
        facts = _facts_of(run.facts, run.records[column][:, layer, :, _MEDIAN])
        records = Records({**kept, column: run.records[column][:, layer : layer + 1]})
        found.append(replace(run, records=records, facts=facts, spec={**run.spec, "bidirectional": facts.ahead}))
    return found


def _facts_of(facts: TaskFacts, medians: Array) -> TaskFacts:
    """The facts of a layer with profiles ``medians`` [P,T]."""
    heard = np.flatnonzero((medians > 0).any(axis=0))
    beyond = int(heard[-1]) - facts.loss_step if heard.size else 0
    if beyond <= facts.loss_step:
        return facts
    return replace(facts, distance=-(min(facts.distance, beyond) if facts.informative_steps else beyond))


def layer_profiles(run: Run) -> list[Array]:
    """The typical profile of each layer by lag, bottom first; empty arrays where there is none to compare with."""
    return [
        typical_profile(one.records, one.facts.loss_step, ahead=one.facts.ahead).values
        for one in by_layer(run)
        if one.facts is not None
    ]


def reach_of(profile: Array) -> Reach | None:
    """The reach in steps, "all" where the profile is nowhere below 1 %, None where there is no profile."""
    if not profile.size:
        return None
    return reach(profile) if bool((profile < REACH_THRESHOLD * profile[0]).any()) else "all"


def reaches(runs: Sequence[Run]) -> dict[str, Reach]:
    """The reach by ``"<part> layer <l>"``, l from 1."""
    found = {
        f"{part_of(run)} layer {layer}": reach_of(profile)
        for run in runs
        for layer, profile in enumerate(layer_profiles(run), 1)
    }
    return {name: value for name, value in found.items() if value is not None}


def verdicts(runs: Sequence[Run]) -> dict[str, Verdict]:
    """Each run's verdict, by the part."""
    return {part_of(run): verdict(run) for run in runs}


def worst(runs: Sequence[Run]) -> tuple[Run, Verdict] | None:
    """The run with the worst verdict, of several the one whose gradient comes the least far; None where there is no
    run."""

    def badness(one: tuple[Run, Verdict]) -> tuple[int, float]:
        said = one[1]
        return _WORST.index(said.kind), math.inf if said.reach is None or said.never_below else said.reach

    return min(((run, verdict(run)) for run in runs), key=badness, default=None)


def table(runs: Sequence[Run], meaning: str) -> Table:
    """A row per layer of each run."""
    rows = []
    for run in runs:
        for layer, (one, profile) in enumerate(zip(by_layer(run), layer_profiles(run), strict=True), 1):
            said, facts = verdict(one), one.facts
            factor = decay(profile).factor if profile.size else math.nan
            far = min(abs(facts.distance), len(profile) - 1) if facts is not None else -1
            rows.append(
                Row(
                    part=part_of(run),
                    layer=layer,
                    reach=reach_of(profile),
                    of=said.of,
                    decay_per_step=factor,
                    half_life_steps=half_life(factor),
                    at_first=float(profile[far] / profile[0]) if profile.size else math.nan,
                    verdict=said.headline,
                )
            )
    return Table(rows, meaning)


def figure(runs: Sequence[Run], key: str, theme: ThemeName = "light") -> go.Figure:
    """The figure ``key`` of all runs; of the worst one where it shows one run.

    Raises ``ValueError`` naming the keys that apply where ``key`` is none of them.
    """
    from diagnostics.charts.gallery import FIGURES  # plotly only where a figure is asked for

    found = [key for key, info in FIGURES.items() if info.applies(runs)]
    if key not in found:
        raise ValueError(f"key must be one of {', '.join(found)} for these runs, but got {key!r}")
    info = FIGURES[key]
    shown = worst(runs)
    of = [shown[0]] if info.per_run and shown is not None else list(runs)
    return info.draw(info.prepare(of), theme=theme)


class Watched(Protocol):
    """What is read of a ``Watch``."""

    @property
    def runs(self) -> tuple[Run, ...]: ...  # noqa: D102
    @property
    def newest(self) -> Mapping[str, Run]: ...  # noqa: D102
    @property
    def overhead(self) -> Overhead: ...  # noqa: D102


def scalars(watch: Watched) -> dict[str, float]:
    """The newest numbers by name, for whatever keeps scalars; what is not known is left out.

    By recurrent part: ``gradreach/<part>/reach``, ``/decay`` and ``/half_life`` of the top layer's newest profile, the
    reach in steps, all of them where it never falls below 1 %; ``/grad_norm_pre``, ``/grad_norm_post`` and
    ``/clip_factor`` of the newest training step. It looks at nothing but memory, and may be called at every step.
    """
    found: dict[str, float] = {}
    for part, run in watch.newest.items():
        said, base = verdict(run), f"gradreach/{part}"
        if said.reach is not None:
            found[f"{base}/reach"] = float(said.reach)
        found |= {f"{base}/decay": said.decay, f"{base}/half_life": said.half_life_steps}
        for name in ("grad_norm_pre", "grad_norm_post", "clip_factor"):
            if name in run.records:
                found[f"{base}/{name}"] = float(run.records[name][-1])
    return {name: value for name, value in found.items() if not math.isnan(value)}


def in_words(watch: Watched) -> str:
    """The verdicts and what watching cost, as HTML."""
    said = [
        f"<p><b>{html.escape(part)}</b>: {html.escape(one.sentence)}</p>" for part, one in verdicts(watch.runs).items()
    ]
    about = html.escape(watch.overhead.sentence)
    return f"<div>{''.join(said) or html.escape(repr(watch))}<p>{about}</p></div>"


def bundles(watch: Watched) -> list[dict[str, Any]]:
    """What a notebook shows one below the other: the words, and the figure as plotly's MIME type with a picture."""
    words: dict[str, Any] = {"text/html": in_words(watch), "text/plain": repr(watch)}
    if not any(run.records.rows("profile") for run in watch.runs):
        return [words]
    from diagnostics.charts import profile, still  # plotly only where a figure is asked for

    prepared = profile.prepare(watch.runs)
    drawn = {
        "application/vnd.plotly.v1+json": json.loads(profile.draw(prepared).to_json()),
        "image/svg+xml": still.svg(prepared),
        "text/plain": profile.describe(prepared),
    }
    return [words, drawn]


def notebook(watch: Watched) -> str:
    """Verdicts and figure as HTML that stands alone, plotly.js included (some 5 MB)."""
    runs = watch.runs
    drawn = ""
    if any(run.records.rows("profile") for run in runs):
        drawn = figure(runs, "profile").to_html(full_html=False, include_plotlyjs=True)
    return in_words(watch) + drawn


def as_rows(columns: Mapping[str, Any]) -> dict[str, Array]:
    """A row of a stream as columns of length 1."""
    return {name: np.asarray([value]) for name, value in columns.items()}


def _or_dash(value: float, said: Callable[[float], str]) -> str:
    return "–" if math.isnan(value) else said(value)
