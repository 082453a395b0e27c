"""Following runs while they are trained: each look reads only what is new, and a damaged run hides no other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from diagnostics.store import ENDED, RunTail, Store, StoreError
from ui.naming import together

if TYPE_CHECKING:
    from diagnostics.records import Run

_TAILS = "tails"


@dataclass(frozen=True)
class Reading:
    """What is known of some runs at one moment, in the order in which they were asked for, each named among them."""

    runs: tuple[Run, ...]
    faults: tuple[str, ...]
    """A sentence for each run that could not be read."""
    version: tuple[tuple[str, Hashable], ...]
    """Changes exactly when there is something new to draw."""

    @property
    def live(self) -> bool:
        """Whether any of the runs may still grow."""
        return any(run.state not in ENDED for run in self.runs)

    @property
    def newest_step(self) -> int:
        """The last training step whose profile was recorded in any run, 0 before the first."""
        return max(map(_newest, self.runs), default=0)

    @property
    def training_step(self) -> int:
        """The newest step of the runs in training; where none is, that of all runs."""
        return max((_newest(run) for run in self.runs if run.state == "running"), default=self.newest_step)


def _newest(run: Run) -> int:
    return int(run.records["profile_step"][-1]) if run.records.rows("profile") else 0


def read(store: Store, run_ids: Sequence[str]) -> Reading:
    """Look at the runs once more. Readers are kept for this session; those of other runs are let go."""
    kept: dict[str, RunTail] = st.session_state.get(_TAILS, {})
    tails = {run_id: kept.get(run_id) or store.tail(run_id) for run_id in run_ids}
    st.session_state[_TAILS] = tails
    runs, faults, versions = [], [], []
    for run_id, tail in tails.items():
        try:
            runs.append(tail.poll())
            versions.append(tail.version)
        except StoreError as error:
            faults.append(f"Run {run_id} cannot be shown: {error}.")
    named = together(runs)
    seen = tuple((run.id, (number, run.name)) for run, number in zip(named, versions, strict=True))
    return Reading(named, tuple(faults), seen)
