"""A small recorded run with everything that is awkward to export: hostile names, negatives, nan, inf, exact zeros."""

from collections.abc import Callable

import numpy as np
import pytest

from diagnostics.records import Records, Run, TaskFacts
from diagnostics.store import Store

HOSTILE = '=HYPERLINK("http://evil.example","x")</script><script>alert(1)</script>\ud800'


def make_run(run_id: str = "r-1", *, name: str = HOSTILE, seed: int = 0, T: int = 6, L: int = 1, P: int = 3) -> Run:
    rng = np.random.default_rng(seed)
    profile = (
        np.exp(-np.arange(T)[::-1])[None, None, :, None] * np.array([0.5, 1.0, 2.0]) * rng.uniform(1, 2, (P, L, 1, 1))
    )
    columns = {
        "step": np.arange(4),
        "loss": np.array([-1.5, 0.1, np.nan, np.inf]),
        "grad_norm_pre": np.array([1 / 3, 0.0, 1e300, 5e-324]),
        "grad_norm_post": np.array([1 / 3, 0.0, 1.0, -np.inf]),
        "clip_factor": np.ones(4),
        "nan_count": np.zeros(4, int),
        "inf_count": np.zeros(4, int),
        "zero_count": np.arange(4),
        "wall_s": np.linspace(0, 1, 4),
        "eval_step": np.array([2, 4]),
        "eval_loss": np.array([0.7, 0.3]),
        "eval_success": np.array([0.25, 0.5]),
        "profile_step": np.arange(P),
        "state_grad": profile,
        "grad_h": profile[..., 1],
        "input_grad": profile[:, 0],
        "state_norm": np.ones((P, L, T)),
        "saturated": np.zeros((P, L, T)),
    }
    facts = TaskFacts(
        title="France", tokens=tuple(["=1+1", "-", "a,b", 'say "x"', "@x", "___"][:T] + ["w"] * max(0, T - 6)),
        informative_steps=(1,), loss_step=T - 1, distance=T - 2, answer="French", loss_name="cross-entropy",
        chance_loss=2.5, success_name="accuracy", chance_success=0.08,
    )  # fmt: skip
    spec = {"task": "france", "gap": 4, "cell": "tanh", "clip": "norm:1.0", "seed": seed, "hidden": 4, "steps": 4}
    return Run(run_id, name, "finished", spec, facts, Records(columns), versions={"torch": "2.13.0", "numpy": "2.4"})


@pytest.fixture
def run_maker() -> Callable[..., Run]:
    return make_run


@pytest.fixture
def run() -> Run:
    return make_run()


def record(store: Store, runs: list[Run], name: str = "a comparison") -> list[str]:
    """Put finished runs into ``store``; returns their ids there."""
    _, ids = store.create([run.spec for run in runs], [run.name for run in runs], name)
    for run_id, run in zip(ids, runs, strict=True):
        assert run.facts is not None
        with store.writer(run_id) as writer:
            writer.begin(run.facts, {"versions": dict(run.versions)})
            writer.append({name: run.records[name] for name in run.records})
            writer.finish("finished", loss=0.3, success=0.5)
    return ids


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with two finished runs, shared by a file's tests: those that add to it look at their own runs alone."""
    made = Store.open(tmp_path_factory.mktemp("store"))
    record(made, [make_run(name="=SUM(A1)", seed=0), make_run(name="<b>GRU</b>", seed=1)])
    return made


@pytest.fixture
def recorder() -> Callable[..., list[str]]:
    return record
