"""Ctrl-C at the worst moments: while a look holds the catalog's lock, and while the runs are being stopped."""

import signal
from collections.abc import Callable

import pytest

from diagnostics.store import Store, database
from experiments.cli import run as run_module
from experiments.cli import sweep as sweep_module
from experiments.cli.interrupt import CtrlC
from experiments.queue import Queue
from tests.experiments.cli.conftest import TINY, Said

SWEEP = ("sweep", *TINY, "--cell", "tanh", "--clip-thresholds", "0.1,1", "--seeds", "0")


@pytest.mark.parametrize("command", [("run", *TINY, "--seed", "0", "1", "2"), SWEEP])
def test_ctrl_c_in_the_middle_of_a_look_stops_every_run(
    say: Callable[..., Said], tmp_path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    presses: list[str] = []
    look = database._look

    def pressed_in(connection) -> None:
        look(connection)
        if presses == ["soon"]:
            presses[:] = ["in a look"]
            signal.raise_signal(signal.SIGINT)

    class NoWorkers(Queue):
        def ensure_workers(self, warm: int = 0) -> None:
            presses[:] = presses or ["soon"]

        def stop(self, run_id: str) -> None:
            signal.raise_signal(signal.SIGINT)  # a second and a third, by somebody who is in a hurry
            super().stop(run_id)

    monkeypatch.setattr(database, "_look", pressed_in)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 200)
    monkeypatch.setattr(run_module, "Queue", NoWorkers)
    monkeypatch.setattr(sweep_module, "Queue", NoWorkers)
    before = signal.getsignal(signal.SIGINT)
    store = Store.open(tmp_path / "mine")
    said = say(*command, store=store)
    rows = store.runs()
    assert presses == ["in a look"]
    assert said.status == 130, said.err
    assert [row.state for row in rows] == ["stopped"] * len(rows)
    assert len(rows) >= 3
    assert said.out.splitlines()[-1] == (rows[0].comparison if command == SWEEP else rows[0].id)
    assert said.err.count("Stopping; what ") == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_ends_a_sleep_and_interrupts_only_once_it_was_answered() -> None:
    with CtrlC() as ctrl_c:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        assert ctrl_c.pressed
        ctrl_c.sleep(3600.0)
        ctrl_c.let_go()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
