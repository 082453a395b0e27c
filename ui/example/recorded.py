"""Reading the recorded example: run files as the store writes them, opened read-only where they lie."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from diagnostics.records import Records, Run
from diagnostics.store import StoreError, run_file
from diagnostics.store.tail import facts_of

FOLDER = Path(__file__).parent


@cache
def runs() -> tuple[Run, ...]:
    """The example's runs, in the order of their file names; none where a file is missing or damaged."""
    try:
        return tuple(_run(path) for path in sorted(FOLDER.glob("*.sqlite")))
    except StoreError:
        return ()  # it is an illustration: the page says that it is not there, and everything else works


def _run(path: Path) -> Run:
    with run_file.opened(path) as connection:
        documents = run_file.documents(connection, path)
        records = Records.concatenate(run_file.chunks(connection, path))
    about, end = documents["run"], documents["end"]
    return Run(
        id=about["id"],
        name=about["name"],
        state=end["state"],
        spec=about["spec"],
        facts=facts_of(documents["facts"]),
        records=records,
        detail=end["detail"],
        versions=documents["info"].get("versions", {}),
        comparison="example",
    )
