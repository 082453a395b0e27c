"""``list`` and ``show``: what is stored, and one run of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from diagnostics.export.summary import summary
from diagnostics.measures.events import events
from diagnostics.measures.sweep import GOAL, findings, is_sweep
from diagnostics.measures.sweep import sweep as judge
from diagnostics.measures.verdict import Verdict, verdict
from diagnostics.records import Run
from diagnostics.store import RunRow, Store
from experiments.cli import seeds, sweep
from experiments.cli.words import find, open_store, plain, print_json, setting, share, table, when
from experiments.spec import FIELDS, Refusal
from experiments.watched import TITLE, about, covered, is_watched


def list_command(asked: argparse.Namespace) -> int:
    """Print the stored runs, newest first."""
    store = open_store(asked)
    rows = store.runs(comparison=asked.comparison, include_deleted=asked.deleted)
    if store.notice:
        print(plain(store.notice), file=sys.stderr)
    if asked.json:
        print_json({"runs": [_row_json(row) for row in rows]})
    elif not rows:
        print("No runs are stored here yet; `run` makes some.")
    else:
        header = ("id", "comparison", "name", "task", "gap", "state", "steps", "success", "begun")
        print(table(header, [_row_cells(row) for row in rows]))
    return 0


def show_command(asked: argparse.Namespace) -> int:
    """Print one run: its spec, its state and its verdict; with ``--records`` everything that was recorded.

    Of a comparison: what its runs say together, over their seeds and, where it is a sweep, at every threshold.
    """
    if asked.records and not asked.json:
        raise Refusal("--records must be asked for with --json, but --json is missing.")
    store = open_store(asked)
    if asked.run.startswith("c-"):
        if asked.records:
            raise Refusal(f"--records must be asked for with a run, but got the comparison {asked.run[:80]!r}.")
        return _show_comparison(store, asked)
    row = find(store, asked.run, deleted=True)
    run = store.read(row.id)
    judged = verdict(run)
    over_seeds = seeds.judged(_siblings(store, row, run))
    if asked.json:
        records = {name: run.records[name] for name in run.records} if asked.records else None
        told = {**_run_json(row, run, judged), "over_seeds": seeds.as_json(over_seeds)}
        print_json(told | ({"records": records} if records is not None else {}))
    else:
        _print_run(row, run, judged, store.info(row.id) if is_watched(row.spec) else {})
        for group, said in over_seeds:
            print(f"\n{plain(group.name)}: {plain(said.sentence)}")
    return 0


def _show_comparison(store: Store, asked: argparse.Namespace) -> int:
    rows = store.runs(comparison=asked.run)[::-1]
    if not rows:
        raise Refusal(f"RUN must be the id of a stored run or comparison, but got {asked.run[:80]!r}.")
    runs = [store.read(row.id) for row in rows]
    over_seeds = seeds.judged(runs)
    told = judge(runs) if is_sweep(runs) else ()
    if asked.json:
        print_json(
            {
                "comparison": asked.run,
                "name": rows[0].comparison_name,
                "runs": [summary(run) for run in runs],
                "over_seeds": seeds.as_json(over_seeds),
                "sweep": sweep.as_json(told, GOAL) if told else None,
            }
        )
        return 0
    print(f"{plain(rows[0].comparison_name)}\n")
    if over_seeds:
        print(seeds.as_table(over_seeds), end="\n\n")
    if told:
        print(sweep.as_table(told, GOAL), end="\n\n")
        print("\n".join(plain(line) for line in findings(told)), end="\n\n")
    for run in runs if not over_seeds else ():
        print(f"{run.id}  {plain(run.name)}: {plain(verdict(run).sentence)}")
    for group, said in () if told else over_seeds:
        print(f"{plain(group.name)}: {plain(said.sentence)}")
    return 0


def _siblings(store: Store, row: RunRow, run: Run) -> list[Run]:
    """The run among those of its comparison that differ from it only in their seed; read only where there are such."""
    asked_for = {**row.spec, "seed": None}
    rows = [other for other in store.runs(comparison=row.comparison)[::-1] if {**other.spec, "seed": None} == asked_for]
    return [run if other.id == run.id else store.read(other.id) for other in rows]


def _row_cells(row: RunRow) -> tuple[object, ...]:
    state = row.state + (" (deleted)" if row.deleted else "")
    spec = row.spec
    task = TITLE if is_watched(spec) else setting(spec, "task")
    return (
        *(row.id, row.comparison, row.name, task, setting(spec, "gap"), state),
        *(_steps(row, "/"), share(row.success), when(row.created_s)),
    )


def _steps(row: RunRow, of: str) -> str:
    """How far a run came, of how many steps; whoever trains a watched one knows that alone."""
    return f"{row.steps_done}" if is_watched(row.spec) else f"{row.steps_done}{of}{row.steps}"


def _row_json(row: RunRow) -> dict[str, Any]:
    return {**asdict(row), "spec": dict(row.spec)}


def _run_json(row: RunRow, run: Run, judged: Verdict) -> dict[str, Any]:
    return {
        **summary(run, judged),
        "name": run.name,
        "comparison": row.comparison,
        "detail": run.detail,
        "deleted": row.deleted,
        "created_s": row.created_s,
        "started_s": row.started_s,
        "ended_s": row.ended_s,
        "spec": dict(run.spec),
        "versions": dict(run.versions),
        "advice": judged.advice,
        "events": [event.to_json() for event in events(run)],
        "facts": asdict(run.facts) if run.facts else None,
    }


def _print_run(row: RunRow, run: Run, judged: Verdict, info: Mapping[str, Any]) -> None:
    told = [("run", row.id), ("name", row.name), ("comparison", f"{row.comparison} {row.comparison_name}".strip())]
    told += [
        ("state", row.state + (" (deleted)" if row.deleted else "")),
        ("steps", _steps(row, " of ")),
    ]
    told.append(("begun", when(row.created_s)))
    if not is_watched(row.spec):
        told.append(("success", f"{share(judged.success)} (chance {share(judged.chance)})"))
    if row.detail:
        told.append(("detail", row.detail))
    if run.facts and not is_watched(row.spec):
        told += [("sample", " ".join(run.facts.tokens)), ("answer", run.facts.answer)]
    asked_for = list(about(run.spec, info).items())
    if not is_watched(run.spec):
        asked_for = [(name, FIELDS[name].said(run.spec[name])) for name in FIELDS if run.spec.get(name) is not None]
    width = max(len(key) for key, _ in told + asked_for)
    for key, value in [*told, ("", ""), *asked_for]:
        print(f"{key:{width}}  {plain(value)}".rstrip())
    for sentence in covered(info):
        print(f"  · {plain(sentence)}")
    print()
    print(plain(judged.sentence))
    for event in events(run):
        print(f"  {'!' if event.fault else '·'} {plain(event.sentence)}")
    for line in judged.advice:
        print(f"  → {plain(line)}")
