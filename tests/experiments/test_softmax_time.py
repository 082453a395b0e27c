"""Timing the softmaxes: the process and what the page sees of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diagnostics.store import Store
from experiments import softmax_time, timing
from experiments.timing import look, tell


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def test_every_kind_is_timed_at_every_size() -> None:
    points = list(softmax_time.measure(words=(20, 50), answers=8, hidden=4))
    assert [(kind, words) for kind, words, _ in points] == [
        (kind, words) for words in (20, 50) for kind in ("full", "adaptive", "hierarchical", "nce")
    ]
    assert all(seconds > 0 for *_, seconds in points)


def test_the_page_sees_nothing_then_points_then_the_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(store).state == "none"
    where = timing.folder(store)
    where.mkdir()
    monkeypatch.setattr(softmax_time, "measure", lambda: iter([("full", 10, 0.25), ("nce", 10, 0.125)]))
    assert softmax_time.main(["--folder", str(where)]) == 0
    found = look(store)
    assert (found.state, found.points) == ("done", (("full", 10, 0.25), ("nce", 10, 0.125)))
    assert "torch" in found.where


def test_a_process_that_died_has_failed_with_its_last_word(store: Store) -> None:
    where = timing.folder(store)
    where.mkdir()
    (where / "softmax.log").write_text("Traceback\nMemoryError\n")
    tell(where, 2**22 + 1, 0.0, [("full", 10, 0.25)], "here", done=False)
    found = look(store)
    assert (found.state, found.points) == ("failed", (("full", 10, 0.25),))
    assert "MemoryError" in found.words


def test_a_damaged_file_is_none(store: Store) -> None:
    where = timing.folder(store)
    where.mkdir()
    (where / "softmax.json").write_text(json.dumps({"points": [[1, 2]]}))
    assert look(store).state == "none"


def test_it_is_begun_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    class Child:
        pid = 1

    def launch(module: str, arguments: list[str], log: Path) -> Child:
        begun.append(arguments)
        return Child()

    monkeypatch.setattr(timing, "launch", launch)
    monkeypatch.setattr(timing, "lives", lambda pid, spawned_s: True)
    assert timing.ask(store) == timing.ask(store) == ""
    assert len(begun) == 1
    assert look(store).state == "measuring"


def test_a_store_that_can_only_be_read_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(store), "read_only", property(lambda self: True), raising=False)
    assert "open for reading only" in timing.ask(store)
