"""A comparison as one HTML page: verdicts, what was run, every figure, and where the numbers come from.

Everything is inside the page; it works offline, prints, and follows the reader's choice of light or dark. Names and
words come from people and from imported files: all of them are escaped, and the page's policy would not run them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from diagnostics.charts.series import all_watched, watched
from diagnostics.export.gallery import Drawing, drawings, profiled
from diagnostics.export.page import document, escape, plot
from diagnostics.export.report_inside import Inside
from diagnostics.export.summary import final_loss
from diagnostics.inspection import Inspection
from diagnostics.measures.events import Event, events, over_seeds
from diagnostics.measures.evidence import loss_known
from diagnostics.measures.numbers import number, percent, rate
from diagnostics.measures.seed_verdict import SPANS, SeedVerdict, span, verdict_over_seeds
from diagnostics.measures.seeds import Group, groups
from diagnostics.measures.sweep import findings, is_sweep, sweep
from diagnostics.measures.verdict import Verdict, verdict
from diagnostics.records import Run
from diagnostics.version import VERSION


def report_html(
    runs: Sequence[Run],
    *,
    title: str = "",
    created_s: float | None = None,
    drawn: Sequence[Drawing] | None = None,
    over_seeds: bool | None = None,
    inspections: Sequence[Inspection] = (),
) -> str:
    """The report of ``runs``, at least one, in the order given; about 5 MB, nearly all of it plotly.js.

    ``inspections`` of these runs are drawn too, the last training step first; they add 0.2 to 0.5 MB each where the
    networks are small, and 20 MB at most together: what is left out for that is named.

    ``created_s`` is the time that the page carries, in seconds since 1970; None takes now. ``drawn`` spares drawing
    the light figures again. ``over_seeds`` draws runs that differ only in their seed as one; left out, where there are
    such runs. Raises ``ValueError`` where there is no run.
    """
    if not runs:
        raise ValueError("runs must be at least one, but got none")
    title = title or "gradreach comparison"
    drawn = drawings(runs, over_seeds=over_seeds) if drawn is None else drawn
    inside = Inside(runs, inspections, over_seeds)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(created_s))
    body = [
        f"<header>\n<h1>{escape(title)}</h1>",
        f'<p class="quiet">{_count(len(runs))} · report written {when} by gradreach {VERSION}</p>',
        f"<p>The question: {'how far back does' if all_watched(runs) else 'does'} the gradient of the loss "
        f"{'come' if all_watched(runs) else 'reach the step that matters'}?</p>\n</header>\n<main>",
        *judged_in_words(runs),
        "<h2>Figures</h2>",
        *(figure_card(drawing) for drawing in drawn),
        *_undrawn(runs),
        *inside.html,
        *asked_and_made(runs),
        "</main>",
    ]
    dark = {drawing.key: drawing.json for drawing in drawings(runs, "dark", over_seeds=over_seeds)}
    light = {drawing.key: drawing.json for drawing in drawn}
    return document(title, "\n".join(body), light | inside.light, dark | inside.dark)


def judged_in_words(runs: Sequence[Run]) -> Iterable[str]:
    """HTML: what is to be said of ``runs``, and their numbers in a table."""
    judged = [verdict(run) for run in runs]
    yield from _over_seeds(runs)
    yield from _sweep(runs)
    yield "<h2>Verdicts</h2>"
    yield from (_verdict(run, found) for run, found in zip(runs, judged, strict=True))
    yield _numbers(runs, judged)


def asked_and_made(runs: Sequence[Run]) -> Iterable[str]:
    """HTML: what was run, on which task, and with what."""
    yield from _specs(runs)
    yield from _sample(runs)
    yield from _provenance(runs)


def _over_seeds(runs: Sequence[Run]) -> Iterable[str]:
    """What the runs that differ only in their seed say together."""
    found = [(group, verdict_over_seeds(group)) for group in groups(runs) if group.several]
    if not found:
        return
    yield "<h2>Over seeds</h2>"
    for group, said in found:
        advice = "".join(f"<li>{escape(line)}</li>" for line in said.advice[:1])
        yield (
            f'<section class="card"><h3>{escape(group.name)} — {escape(said.headline)}</h3>'
            f"<p>{escape(said.sentence)}</p>{_happened(over_seeds(group.runs))}"
            + (f"<ul>{advice}</ul>" if advice else "")
            + "</section>"
        )
    header = ["runs", "verdict", "reach", "of", "decay", "half-life", "informative step", "success", "solved"]
    yield _table(header, [_seeds_row(group, said) for group, said in found])
    yield f'<p class="quiet">{SPANS} Units as in the table of single runs below.</p>'


def _seeds_row(group: Group, said: SeedVerdict) -> list[str]:
    return [
        *(group.name, said.headline, span(said.reach, _number), str(said.of), span(said.decay, rate)),
        *(span(said.half_life_steps, _number), span(said.informative_grad, _number)),
        *(span(said.success, _share), f"{said.solved} of {len(said.verdicts)}"),
    ]


def _sweep(runs: Sequence[Run]) -> Iterable[str]:
    """What came of each clipping threshold, in words; the figures show the numbers."""
    if is_sweep(runs):
        yield "<h2>What comes of a threshold</h2>"
        lines = "".join(f"<li>{escape(line)}</li>" for line in findings(sweep(runs)))
        yield f'<section class="card"><ul>{lines}</ul></section>'


def _happened(found: Sequence[Event]) -> str:
    """What clipping did, a paragraph each."""
    return "".join(f"<p>{'⚠ ' * event.fault}{escape(event.sentence)}</p>" for event in found)


def _verdict(run: Run, found: Verdict) -> str:
    advice = "".join(f"<li>{escape(line)}</li>" for line in found.advice)
    ended = f'<p class="quiet">{escape(run.detail)}</p>' if run.detail else ""
    return (
        f'<section class="card"><h3>{escape(run.name or run.id)} — {escape(found.headline)}</h3>'
        f"<p>{escape(found.sentence)}</p>{_happened(events(run))}{ended}"
        + (f"<ul>{advice}</ul>" if advice else "")
        + "</section>"
    )


def _numbers(runs: Sequence[Run], judged: Sequence[Verdict]) -> str:
    shares = [] if all_watched(runs) else ["success", "chance"]
    header = ["run", "state", "steps", "loss", *shares, "reach", "decay", "half-life", "informative step"]
    rows = [
        [
            *(run.name or run.id, run.state, str(run.records.rows("step")), _loss(run)),
            *([_share(j.success), _share(j.chance)] if shares else []),
            *("–" if j.reach is None else f"{j.reach} of {j.of}", _number(j.decay)),
            *(_number(j.half_life_steps), _number(j.informative_grad)),
        ]
        for run, j in zip(runs, judged, strict=True)
    ]
    measured = [run for run in runs if run.facts and not watched(run)]
    loss = " or ".join(dict.fromkeys(run.facts.loss_name for run in measured if run.facts))
    said = f"Loss: {escape(loss or 'as the task says')}, held out. "
    if any(map(watched, runs)):
        said = f"{said if measured else ''}Of watched models: the loss of the last training step, where it was told. "
    unsaid = any(watched(run) and run.facts and not run.facts.informative_steps for run in runs)
    first = "; where nobody said which it is, at the farthest timestep" if unsaid else ""
    return _table(header, rows) + (
        f'<p class="quiet">{said}Reach: steps back from the loss, of all there are, until '
        "the gradient is first below 1 % of its value at the loss. Decay: factor per step back. Half-life: in steps. "
        f"Informative step: the gradient there ÷ the gradient at the loss{first}.</p>"
    )


def figure_card(drawing: Drawing) -> str:
    """HTML: a figure with how to read it."""
    return (
        f'<figure class="card"><h3 class="unseen">{escape(drawing.title)}</h3>'
        f"{plot(drawing.key, drawing.name, drawing.height_px)}"
        f'<figcaption class="quiet"><strong>How to read this.</strong> {escape(drawing.how_to_read)}</figcaption>'
        "</figure>"
    )


def _undrawn(runs: Sequence[Run]) -> Iterable[str]:
    """Which runs the figures lack, so that nobody looks for them."""
    names = [run.name or run.id for run in runs if not profiled(run)]
    if names:
        yield (
            f'<p class="quiet">Without a figure of {"its" if len(names) == 1 else "their"} own, because no gradient '
            f"was recorded: {escape(', '.join(names))}.</p>"
        )


def _specs(runs: Sequence[Run]) -> Iterable[str]:
    yield "<h2>What was run</h2>"
    yield from _compared(runs, [_flat(run.spec) for run in runs])


def _flat(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """A spec without folders: what was watched stands beside the rest."""
    about = spec.get("watched")
    if not isinstance(about, Mapping):
        return spec
    told = {**about, **{name: value for name, value in spec.items() if name not in ("watched", "steps")}}
    return {name: value for name, value in told.items() if value not in ("", [])}


def _compared(runs: Sequence[Run], facts: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """What differs between the runs first, a column each; then what is common."""
    names = list(dict.fromkeys(name for told in facts for name in told))
    differ = [name for name in names if len({repr(told.get(name)) for told in facts}) > 1]
    if differ:
        yield "<h3>What differs</h3>"
        rows = [
            [run.name or run.id, run.id, *(_shown(t, n) for n in differ)] for run, t in zip(runs, facts, strict=True)
        ]
        yield _table(["run", "id", *map(_words, differ)], rows, wrapping=True)
    common = "".join(
        f"<div><dt>{escape(_words(name))}</dt><dd>{escape(_shown(facts[0], name))}</dd></div>"
        for name in names
        if name not in differ
    )
    if common:
        yield "<h3>What is common</h3>" if differ else ""
        yield f'<dl class="card">{common}</dl>'


def _sample(runs: Sequence[Run]) -> Iterable[str]:
    """A sample of each task, as a person would read it, with the informative words marked."""
    samples = {(run.facts.title, run.facts.tokens): run.facts for run in runs if run.facts and not watched(run)}
    if samples:
        yield "<h2>The task</h2>"
    for facts in samples.values():
        several = len(facts.informative_steps) > 1
        words = (
            f"<mark>{escape(token)}</mark>" if t in facts.informative_steps else escape(token)
            for t, token in enumerate(facts.tokens)
        )
        yield (
            f'<section class="card"><h3>{escape(facts.title)}</h3><p>{" ".join(words)} → '
            f"<strong>{escape(facts.answer)}</strong></p>"
            f'<p class="quiet">Marked: what the answer depends on, {"as far as " if several else ""}'
            f"{abs(facts.distance)} steps {'after' if facts.ahead else 'before'} the loss. "
            f"Knowing nothing gives {escape(facts.loss_name)}: {_number(facts.chance_loss)}, "
            f"{escape(facts.success_name)}: {_share(facts.chance_success)}.</p></section>"
        )


def _provenance(runs: Sequence[Run]) -> Iterable[str]:
    yield "<h2>Where the numbers come from</h2>"
    begun = [run for run in runs if run.versions]
    yield from _compared(begun, [{"run id": r.id, **r.versions} if len(runs) == 1 else r.versions for r in begun])
    if missing := [run.name or run.id for run in runs if not run.versions]:
        yield f'<p class="quiet">Never begun, so without versions: {escape(", ".join(missing))}.</p>'
    yield (
        '<p class="quiet">State gradients are per-sample l2 norms of the total derivative of the loss, measured before '
        "clipping, with the mean over the batch undone; lines are medians over the batch. Norms are computed in "
        f"float64. {_AGAIN if not any(map(watched, runs)) else _WATCHED}</p>"
    )


_AGAIN = "The same spec on the same build and processor, in one thread, gives the same numbers."
_WATCHED = "What was watched was trained by somebody's own program, which is not in this report."


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, wrapping: bool = False) -> str:
    """A table in a card; ``wrapping`` where its cells hold words, which may take several lines as numbers may not."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    label = escape(f"Table: {', '.join(header)}")
    return (
        f'<div class="card scroll{" wrapping" * wrapping}" tabindex="0" role="region" aria-label="{label}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return "–" if value is None else str(value)


def _loss(run: Run) -> str:
    """The loss at the end; where it is recorded and not a number, that is what it says, unlike where there is none."""
    if watched(run) and not loss_known(run):
        return "–"
    return number(final_loss(run), 3) if run.records.rows("step") or run.records.rows("eval") else "–"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else number(value, 3)


def _share(value: float) -> str:
    return "–" if math.isnan(value) else percent(value)


def _count(runs: int) -> str:
    return f"{runs} run{'s' * (runs != 1)}"
