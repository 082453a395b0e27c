"""A verdict per run, in words and numbers, aligned so that runs can be compared at a glance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from diagnostics.charts.palette import THEMES, styles
from diagnostics.measures import first_non_finite, numbers
from diagnostics.measures.events import events
from diagnostics.measures.evidence import loss_known
from diagnostics.measures.verdict import Verdict, verdict
from diagnostics.store import ENDED
from experiments.watched import is_watched
from ui.events import sentences
from ui.words import left, markup, number, percent

if TYPE_CHECKING:
    from diagnostics.records import Run
    from experiments.queue import Progress

BADGES: Mapping[str | None, tuple[str, str, str]] = {
    "reaches": ("●", "#0a6b3d", "#5fd39a"),
    "fades": ("◐", "#35518a", "#9db8f2"),
    "vanishing": ("▼", "#8a4b00", "#ffb454"),
    "exploding": ("▲", "#b3261e", "#ff8a80"),
    "diverged": ("✕", "#b3261e", "#ff8a80"),
    None: ("…", "#4a5563", "#b4becb"),
}
"""A mark beside the colour, for whoever cannot tell the colours: in light and in dark, 4.5:1 with the page."""

RATE = "verdict-rate"
"""The class of what a narrow page leaves to the words below."""

Theme = Literal["light", "dark"]


def verdicts(runs: Sequence[Run], progress: Mapping[str, Progress], theme: Theme) -> str:
    """The strip as HTML: a row of numbers per run, the columns aligned."""
    rows = (_row(run, verdict(run), progress.get(run.id), line, theme) for run, line in _lines(runs, theme))
    return f'<ul class="verdicts">{"".join(rows)}</ul>'


def in_words(runs: Sequence[Run], theme: Theme) -> str:
    """What each verdict means and what to try next, a paragraph per run, as HTML."""
    said = (
        f'<p style="--line:{line}"><strong>{markup(run.name)}</strong> '
        f"{markup(_sentence(run, verdict(run)))}{sentences(events(run))}</p>"
        for run, line in _lines(runs, theme)
    )
    return f'<section class="in-words"><h3>In words, and what to try</h3>{"".join(said)}</section>'


def unstarted(run: Run) -> bool:
    """Whether the run ended before it made a step: there is nothing of it to draw, and there never will be."""
    return run.state in ENDED and not run.records.rows("step") and not run.records.rows("profile")


def _prepares(run: Run) -> bool:
    """Whether the run has something to do before its first step, which its detail names."""
    return run.state == "running" and bool(run.detail) and not run.records.rows("step")


def _lines(runs: Sequence[Run], theme: Theme) -> list[tuple[Run, str]]:
    """Each run with the colour that its lines have in the figures."""
    return [(run, THEMES[theme].lines[style.colour]) for run, style in zip(runs, styles(runs), strict=True)]


def _sentence(run: Run, said: Verdict) -> str:
    if unstarted(run):
        return f"{run.state.capitalize()} before its first step: there is nothing to judge."
    if _prepares(run):
        return f"{run.detail[:1].upper()}{run.detail[1:]}."
    broken = first_non_finite.in_words(run.detail) if run.state == "diverged" else ""
    return " ".join(filter(None, [said.sentence, broken, *said.advice[:1]]))


def _row(run: Run, said: Verdict, progress: Progress | None, line: str, theme: Theme) -> str:
    mark, light, dark = BADGES[said.kind]
    colour = light if theme == "light" else dark
    badge = f'<span class="verdict-badge" style="color:{colour}">{mark} {markup(said.headline)}</span>'
    cells = (_reach(said), _informative(run, said), _decay(said), _half_life(said), _learned(run, said))
    name = f'<span class="verdict-name" title="{markup(run.name)}">{markup(run.name)}</span>'
    return f'<li class="verdict-row" style="--line:{line}">{name}{badge}{"".join(cells)}{_state(run, progress)}</li>'


def cell(label: str, value: str, below: str = "", kind: str = "") -> str:
    """One number with its label above and, where there is one, its bar below; all three are HTML."""
    return f'<span class="verdict-cell {kind}"><small>{label}</small>{value}{below}</span>'


def bar(share: float, tick: float = math.nan) -> str:
    """A bar filled to ``share``, with a tick where there is one to compare it with."""
    filled = f'<i style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></i>' if math.isfinite(share) else ""
    ticked = f'<b style="left:{100 * min(max(tick, 0.0), 0.99):.1f}%"></b>' if math.isfinite(tick) else ""
    return f'<span class="verdict-bar" aria-hidden="true">{filled}{ticked}</span>'


def _reach(said: Verdict) -> str:
    if said.reach is None:
        return cell("reach", "–", bar(math.nan))
    if said.of == 0:
        return cell("reach", f"{long('to ')}its own step", bar(1.0))
    words = f"all {said.of}" if said.never_below else f"{said.reach} of {said.of}"
    return cell("reach", f"{words}{long(' steps')}", bar(said.reach / said.of))


def long(text: str) -> str:
    """Words that a narrow page does without."""
    return f'<span class="verdict-long">{text}</span>'


def short(text: str) -> str:
    """Words that stand only on a narrow page."""
    return f'<span class="verdict-short">{text}</span>'


def _informative(run: Run, said: Verdict) -> str:
    """What arrives at the step that matters, as a share of what there is at the loss."""
    facts = run.facts
    where = f"{long('at the ')}farthest step" if is_watched(run.spec) else f"{long('gradient ')}at the word"
    if facts and facts.informative_steps:
        where = long("gradient ") + markup(f"at “{facts.tokens[facts.informative_steps[0]]}”")
    known = not math.isnan(said.informative_grad)
    return cell(where, f"× {number(said.informative_grad)}" if known else "–")


def _decay(said: Verdict) -> str:
    return cell("per step", f"× {numbers.rate(said.decay)}" if math.isfinite(said.decay) else "–", kind=RATE)


def _half_life(said: Verdict) -> str:
    fades = math.isfinite(said.half_life_steps) and said.half_life_steps > 0
    return cell("half-life", numbers.steps(said.half_life_steps) if fades else "–", kind=RATE)


def _learned(run: Run, said: Verdict) -> str:
    """Success against chance; of a watched run, of which nobody knows either, the newest loss that it was told."""
    if is_watched(run.spec):
        known = run.records.rows("step") and loss_known(run)
        return cell("loss", numbers.number(float(run.records["loss"][-1]), 3) if known else "–")
    chance = f" <q>{long('chance ')}{percent(said.chance)}</q>" if math.isfinite(said.chance) else ""
    words = f"{percent(said.success)}{chance}" if math.isfinite(said.success) else "–"
    return cell(f"success{short(' · chance')}", words, bar(said.success, said.chance))


def _state(run: Run, progress: Progress | None) -> str:
    """The progress bar: how far the run is, and the time that is left."""
    steps = int(run.spec.get("steps", 0))
    done = run.records.rows("step") or (progress.steps_done if progress else 0)
    if is_watched(run.spec):
        return cell("watching" if run.state == "running" else run.state, f"{done} steps", bar(math.nan))
    share = done / steps if steps else math.nan
    if unstarted(run):
        return cell(run.state, f"{long('before its first step')}{short(f'0 of {steps}')}", bar(0.0))
    if run.state in ENDED:
        return cell(run.state, f"{done} of {steps}{long(' steps')}", bar(share))
    if run.state == "queued":
        ahead = progress.queued_behind if progress else 0
        others = long(" others" if ahead > 1 else " other")
        return cell("waiting", f"behind {ahead}{others}" if ahead else "next in line", bar(0.0))
    busy = "preparing" if _prepares(run) else "training"
    time_left = left(progress.seconds_left if progress else None)
    return cell(f"{busy} · {time_left}" if time_left else busy, f"{long('step ')}{done} of {steps}", bar(share))
