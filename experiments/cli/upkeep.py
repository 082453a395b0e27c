"""``delete`` and ``doctor``: making room, and making sure."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from experiments.cli.words import find, open_store, plain, print_json


def delete_command(asked: argparse.Namespace) -> int:
    """Delete runs: so that ``--undo`` brings them back, or with ``--purge`` for good."""
    store = open_store(asked)
    ids = [find(store, name, deleted=True).id for name in dict.fromkeys(asked.runs)]
    if asked.undo:
        store.restore(ids)
        done = "restored"
    else:
        store.delete(ids)
        done = "deleted"
        if asked.purge:
            store.purge(ids)
            done = "purged"
    if asked.json:
        print_json({done: ids})
    else:
        hint = f"; `delete --undo {' '.join(ids)}` brings back" if done == "deleted" else ""
        print(f"{done.capitalize()} {', '.join(ids)}{hint}.")
    return 0


def doctor_command(asked: argparse.Namespace) -> int:
    """Check every file, and what the recurrences run on; 0 where nothing was found, 1 where something was."""
    store = open_store(asked)
    findings = store.check()
    loops = _loops()
    if asked.json:
        print_json(
            {"store": str(store.path), "recurrences": loops, "findings": [asdict(finding) for finding in findings]}
        )
    else:
        for finding in findings:
            print(plain(finding.sentence))
        if not findings:
            runs = len(store.runs(include_deleted=True))
            print(f"Checked {runs} run{'s' * (runs != 1)} in {plain(store.path)}: no faults found.")
        print(f"Recurrences: {plain(loops)}.")
    return 1 if findings else 0


def _loops() -> str:
    """What runs the recurrences on this machine's processor."""
    from diagnostics.recurrence import paths  # with torch, which no other command waits for

    return paths.described()
