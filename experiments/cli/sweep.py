"""``sweep``: train clipping thresholds × cells × seeds, and say what comes of each threshold."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from diagnostics.measures.numbers import number
from diagnostics.measures.seed_verdict import span
from diagnostics.measures.sweep import GOAL, Point, Series, findings
from diagnostics.measures.sweep import sweep as judge
from diagnostics.records import Run
from diagnostics.store import Store
from experiments.cli.interrupt import CtrlC
from experiments.cli.parser import settings
from experiments.cli.run import POLL_S
from experiments.cli.words import open_store, plain, print_json, share, table
from experiments.cost import duration
from experiments.queue import Queue
from experiments.spec import Refusal, predict
from experiments.sweep import KINDS, PRESETS, State, Sweep, resume, state, stop, submit

_BAR = "{desc} {percentage:3.0f} %|{bar}|{postfix}"
_USUAL = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def sweep_command(asked: argparse.Namespace) -> int:
    """Submit or resume, wait, report. 0 where every run came to its end, 1 where one broke off, 130 after Ctrl-C."""
    goal = asked.goal if asked.goal is not None else GOAL
    if not 0 < goal <= 1:
        raise Refusal(f"goal must be a success above 0 and at most 1, but got {goal:g}")
    queue = Queue(open_store(asked))
    comparison = _begun(queue, asked)
    interrupted = _wait(queue, comparison)
    found = state(queue.store, comparison)
    runs = read(queue.store, found)
    told = judge(runs, goal)
    if asked.json:
        print_json({"comparison": comparison, **as_json(told, goal), "missing": len(found.missing)})
    else:
        print(as_table(told, goal))
        print()
        for line in findings(told, goal):
            print(plain(line))
        if found.missing:
            print(f"{len(found.missing)} of {len(found.rows)} broke off: `sweep --resume {comparison}` trains them.")
        print(comparison)
    return 130 if interrupted else 1 if found.missing else 0


def requested(asked: argparse.Namespace) -> Sweep:
    """The sweep that the flags ask for; raises ``Refusal`` where they contradict each other."""
    changes: dict[str, Any] = settings(asked)
    if asked.preset and asked.preset not in PRESETS:
        raise Refusal(f"preset must be one of {', '.join(PRESETS)}, but got {asked.preset[:80]!r}")
    base = PRESETS[asked.preset].sweep if asked.preset else Sweep(_USUAL)
    return Sweep(
        thresholds=_thresholds(asked.clip_thresholds) if asked.clip_thresholds else base.thresholds,
        cells=tuple(changes.pop("cell", base.cells)),
        seeds=tuple(asked.seeds or base.seeds),
        kinds=tuple(kind for kind in KINDS if kind in asked.kinds) if asked.kinds else base.kinds,
        common={**base.common, **changes},
    )


def read(store: Store, found: State) -> list[Run]:
    """The runs of a sweep that still count, in the order in which they were asked for."""
    return [store.read(row.id) for row in found.rows]


def as_table(told: Sequence[Series], goal: float) -> str:
    """A line per series and rule."""
    header = ("series", "clipping", "threshold", "ended", "diverged", "success", f"reach {share(goal)}", "after steps")
    rows = [(series.name, *_cells(point)) for series in told for point in series.points]
    return table(header, rows) if rows else "Nothing to compare: no run has a clipping rule."


def as_json(told: Sequence[Series], goal: float) -> dict[str, Any]:
    """The same as JSON values; a spread is null where no seed has the number, infinite steps mean never."""
    points = [
        {
            "series": series.name,
            "cell": series.first.spec.get("cell"),
            "clip": point.rule.kind,
            "threshold": point.rule.threshold,
            "runs": point.run_ids,
            "ended": point.ended,
            "waiting": point.waiting,
            "broken_off": point.broken_off,
            "diverged": point.diverged,
            "success": point.success._asdict() if point.success.seeds else None,
            "reached": point.reached,
            "steps_to_goal": point.steps_to_goal._asdict() if point.steps_to_goal.seeds else None,
        }
        for series in told
        for point in series.points
    ]
    return {"goal": goal, "points": points, "findings": findings(told, goal)}


def _begun(queue: Queue, asked: argparse.Namespace) -> str:
    if not asked.resume:
        sweep = requested(asked)
        comparison, ids = submit(queue, sweep, asked.name)
        seconds = duration(sum(predict(spec).seconds for spec in sweep.specs()))
        print(f"{len(ids)} runs in comparison {comparison}, about {seconds} of work.", file=sys.stderr)
        return comparison
    comparison = str(asked.resume)
    if not state(queue.store, comparison).rows:
        raise Refusal(f"--resume must be the id of a stored comparison, but got {comparison[:80]!r}.")
    more = asked.preset or asked.clip_thresholds or asked.seeds or asked.kinds or settings(asked)
    ids = resume(queue, comparison, requested(asked).specs() if more else ())
    print(f"{len(ids)} runs to train in comparison {comparison}.", file=sys.stderr)
    return comparison


def _thresholds(texts: Sequence[str]) -> tuple[float, ...]:
    found = []
    for text in filter(None, (part.strip() for whole in texts for part in whole.split(","))):
        try:
            found.append(float(text))
        except ValueError:
            raise Refusal(f"clip_thresholds must be numbers, but got {text[:60]!r}") from None
    if not found:
        raise Refusal("clip_thresholds must have at least one value, but got none")
    return tuple(dict.fromkeys(found))


def _wait(queue: Queue, comparison: str) -> bool:
    """Until no run is active; True where Ctrl-C stopped them. A second Ctrl-C raises ``KeyboardInterrupt``."""
    stopped = False
    with contextlib.ExitStack() as stack:
        bar = None
        if sys.stderr.isatty():
            bar = stack.enter_context(tqdm(total=1.0, desc="sweep", bar_format=_BAR))
        ctrl_c = stack.enter_context(CtrlC())
        looked_s = 0.0
        while True:
            if ctrl_c.pressed and not stopped:
                tqdm.write("Stopping; what has ended is kept. Ctrl-C again leaves at once.", file=sys.stderr)
                stop(queue, comparison)
                stopped = True
                ctrl_c.let_go()
            found = state(queue.store, comparison)
            _shown(found, bar)
            if not found.active:
                return stopped
            if time.monotonic() > looked_s + 1.0:
                looked_s = time.monotonic()
                queue.ensure_workers()
            ctrl_c.sleep(max(POLL_S, 0.004 * len(found.rows)))


def _shown(found: State, bar: Any) -> None:
    if bar is not None:
        bar.n = found.share
        left = f", {duration(found.seconds_left)} left" if found.seconds_left else ""
        bar.set_postfix_str(f" {found.done} of {len(found.rows)} runs{left}", refresh=True)


def _cells(point: Point) -> tuple[object, ...]:
    kind, threshold = point.rule
    runs = len(point.run_ids)
    return (
        "off" if kind == "none" else kind,
        "–" if math.isinf(threshold) else number(threshold, 3),
        str(point.ended) if point.ended == runs else f"{point.ended} of {runs}",
        share(point.diverged_share),
        span(point.success, share),
        f"{point.reached} of {point.ended}" if point.ended else "–",
        span(point.steps_to_goal, lambda value: "never" if math.isinf(value) else f"{value:.0f}"),
    )
