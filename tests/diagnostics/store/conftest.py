from __future__ import annotations

from pathlib import Path

import pytest

from diagnostics.store import Store
from tests.diagnostics.store.sample import FACTS, INFO, rows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def finished(store: Store) -> str:
    """The id of a run of three chunks that has finished."""
    _, (run_id,) = store.create([{"steps": 6, "cell": "tanh"}], ["a run"], "a comparison")
    with store.writer(run_id) as writer:
        writer.begin(FACTS, INFO)
        for start in (0, 2, 4):
            writer.append(rows(start, start + 2))
        writer.finish("finished", loss=0.5, success=0.75)
    return run_id
