"""A verdict per group of runs that differ only in their seed: how many say what, and what their numbers span."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from diagnostics.charts.palette import THEMES, styles
from diagnostics.measures import numbers
from diagnostics.measures.events import over_seeds
from diagnostics.measures.seed_verdict import SPANS, SeedVerdict, verdict_over_seeds
from diagnostics.measures.seeds import Group, Spread, groups
from diagnostics.store import ENDED
from ui.events import sentences
from ui.verdicts import BADGES, RATE, Theme, bar, cell, long
from ui.words import left, markup, number, percent

if TYPE_CHECKING:
    from collections.abc import Callable

    from diagnostics.records import Run
    from experiments.queue import Progress


def seed_verdicts(runs: Sequence[Run], progress: Mapping[str, Progress], theme: Theme) -> str:
    """The strip as HTML: a row of numbers per group, the columns aligned as those of single runs."""
    rows = (_row(group, verdict_over_seeds(group), progress, line, theme) for group, line in _lines(runs, theme))
    return f'<ul class="verdicts">{"".join(rows)}</ul>'


def seeds_in_words(runs: Sequence[Run], theme: Theme) -> str:
    """What the seeds say together and what to try next, a paragraph per group, as HTML."""
    said = []
    for group, line in _lines(runs, theme):
        found = verdict_over_seeds(group)
        words = " ".join([found.sentence, *found.advice[:1]])
        happened = sentences(over_seeds(group.runs))
        said.append(f'<p style="--line:{line}"><strong>{markup(group.name)}</strong> {markup(words)}{happened}</p>')
    head = f'<h3>In words, and what to try</h3><p style="border: 0; padding: 0">{SPANS}</p>'
    return f'<section class="in-words">{head}{"".join(said)}</section>'


def _lines(runs: Sequence[Run], theme: Theme) -> list[tuple[Group, str]]:
    """Each group with the colour that its lines have in the figures."""
    found = groups(runs)
    looks = styles([group.face for group in found])
    return [(group, THEMES[theme].lines[style.colour]) for group, style in zip(found, looks, strict=True)]


def _row(group: Group, said: SeedVerdict, progress: Mapping[str, Progress], line: str, theme: Theme) -> str:
    kind, count = said.kinds[0] if said.kinds else (None, 0)
    mark, light, dark = BADGES[kind]
    words = f"{kind.capitalize()} {count} of {len(group.runs)}" if kind else said.headline
    colour = light if theme == "light" else dark
    badge = f'<span class="verdict-badge" style="color:{colour}" title="{markup(said.headline)}">{mark} {words}</span>'
    cells = (_reach(said), _informative(group, said), _decay(said), _half_life(said), _success(said))
    name = f'<span class="verdict-name" title="{markup(group.name)}">{markup(group.name)}</span>'
    return f'<li class="verdict-row" style="--line:{line}">{name}{badge}{"".join(cells)}{_state(group, progress)}</li>'


def _range(over: Spread, say: Callable[[float], str]) -> str:
    """Least and greatest in small type; nothing where they read as the median does."""
    low, median, high = say(over.low), say(over.median), say(over.high)
    return "" if low == median == high else f" <q>{low} to {high}</q>"


def _reach(said: SeedVerdict) -> str:
    if not said.reach.seeds:
        return cell("reach", "–", bar(math.nan))
    words = f"{number(said.reach.median, 3)} of {said.of}{_range(said.reach, lambda value: number(value, 3))}"
    return cell("reach", words, bar(said.reach.median / said.of if said.of else 1.0))


def _informative(group: Group, said: SeedVerdict) -> str:
    facts = group.face.facts
    word = "at the word"
    if facts and facts.informative_steps:
        word = f"at “{facts.tokens[facts.informative_steps[0]]}”"
    over = said.informative_grad
    return cell(f"{long('gradient ')}{markup(word)}", f"× {number(over.median)}" if over.seeds else "–")


def _decay(said: SeedVerdict) -> str:
    return cell("per step", f"× {numbers.rate(said.decay.median)}" if said.decay.seeds else "–", kind=RATE)


def _half_life(said: SeedVerdict) -> str:
    median = said.half_life_steps.median
    return cell("half-life", numbers.steps(median) if math.isfinite(median) and median > 0 else "–", kind=RATE)


def _success(said: SeedVerdict) -> str:
    if not said.success.seeds:
        return cell("success", "–", bar(math.nan, said.chance))
    words = f"{percent(said.success.median)}{_range(said.success, percent)}"
    return cell(f"success · solved {said.solved} of {len(said.verdicts)}", words, bar(said.success.median, said.chance))


def _state(group: Group, progress: Mapping[str, Progress]) -> str:
    """How many of the seeds have ended, and how far all of them together are."""
    steps = sum(int(run.spec.get("steps", 0)) for run in group.runs)
    done = sum(
        int(run.spec.get("steps", 0)) if run.state in ("finished", "diverged") else run.records.rows("step")
        for run in group.runs
    )
    ended = sum(run.state in ENDED for run in group.runs)
    whole = sum(run.state in ("finished", "diverged") for run in group.runs)
    seconds = [p.seconds_left for run in group.runs if (p := progress.get(run.id)) and p.state == "running"]
    time_left = left(max((s for s in seconds if s is not None), default=None))
    label = "seeds ended" if ended == len(group.runs) else f"training · {time_left}" if time_left else "seeds ended"
    broken_off = f" <q>{ended - whole} broke off</q>" if ended > whole else ""
    return cell(label, f"{ended} of {len(group.runs)}{broken_off}", bar(done / steps if steps else math.nan))
