"""``list`` and ``show``: what is stored, and one run of it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from diagnostics.export.summary import summary
from diagnostics.measures.verdict import Verdict, verdict
from diagnostics.records import Run
from diagnostics.store import RunRow
from experiments.cli.words import find, open_store, plain, print_json, setting, share, table, when
from experiments.spec import FIELDS, Refusal


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
    """Print one run: its spec, its state and its verdict; with ``--records`` everything that was recorded."""
    if asked.records and not asked.json:
        raise Refusal("--records must be asked for with --json, but --json is missing.")
    store = open_store(asked)
    row = find(store, asked.run, deleted=True)
    run = store.read(row.id)
    judged = verdict(run)
    if asked.json:
        records = {name: run.records[name] for name in run.records} if asked.records else None
        print_json(_run_json(row, run, judged) | ({"records": records} if records is not None else {}))
    else:
        _print_run(row, run, judged)
    return 0


def _row_cells(row: RunRow) -> tuple[object, ...]:
    state = row.state + (" (deleted)" if row.deleted else "")
    spec = row.spec
    return (
        *(row.id, row.comparison, row.name, setting(spec, "task"), setting(spec, "gap"), state),
        *(f"{row.steps_done}/{row.steps}", share(row.success), when(row.created_s)),
    )


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
        "facts": asdict(run.facts) if run.facts else None,
    }


def _print_run(row: RunRow, run: Run, judged: Verdict) -> None:
    told = [("run", row.id), ("name", row.name), ("comparison", f"{row.comparison} {row.comparison_name}".strip())]
    told += [
        ("state", row.state + (" (deleted)" if row.deleted else "")),
        ("steps", f"{row.steps_done} of {row.steps}"),
    ]
    told += [("begun", when(row.created_s)), ("success", f"{share(judged.success)} (chance {share(judged.chance)})")]
    if row.detail:
        told.append(("detail", row.detail))
    if run.facts:
        told += [("sample", " ".join(run.facts.tokens)), ("answer", run.facts.answer)]
    asked_for = [(name, FIELDS[name].said(run.spec[name])) for name in FIELDS if run.spec.get(name) is not None]
    width = max(len(key) for key, _ in told + asked_for)
    for key, value in [*told, ("", ""), *asked_for]:
        print(f"{key:{width}}  {plain(value)}".rstrip())
    print()
    print(plain(judged.sentence))
    for line in judged.advice:
        print(f"  → {plain(line)}")
