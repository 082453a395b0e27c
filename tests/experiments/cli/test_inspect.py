import numpy as np
import pytest

from diagnostics.inspection import QUANTITIES, SECTIONS
from diagnostics.store import Store
from experiments.cli.inspect import _power
from experiments.spec import RunSpec
from experiments.train import Trainer
from tests.diagnostics.store.sample import FACTS, INFO, rows
from tests.experiments.cli.conftest import Said, process


def test_a_run_is_inspected_and_told_in_words(say, ids):
    said = say("inspect", ids[1])
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].startswith(ids[1])
    assert lines[1].startswith("after 3 of 3 updates, a probe of 4 held-out samples of 10 timesteps")
    for words in (
        "saturated units", "state gradient", "σ_max(W_hh)", "none of this form for gated cells", "Lyapunov",
        "one-step Jacobian", "weight gradient", "signal to noise", "update gate z", "truncated at",
        "recurrent.layers.0.weight_hh",
    ):  # fmt: skip
        assert words in said.out, words
    assert say("inspect", ids[0], "--step", "0", "--sections", "theory").out.count("bound γ σ_max") == 1


def test_the_json_holds_every_quantity_with_what_it_means(say, ids):
    said = say("inspect", ids[1], "--json", "--timings", "--samples", "2")
    assert said.status == 0
    found = said.json()
    assert (found["run"], found["step"], found["samples"], found["timesteps"]) == (ids[1], 3, 2, 10)
    quantities = found["quantities"]
    assert {value["section"] for value in quantities.values()} == set(SECTIONS)
    assert not {"h", "gates"} & set(quantities)  # large, and not asked for by name
    for name, value in quantities.items():
        assert (value["unit"], value["meaning"]) == (QUANTITIES[name].unit, QUANTITIES[name].meaning)
        if QUANTITIES[name].dtype != "U":
            numbers = np.array(value["values"], dtype=float)  # "nan" and "inf" are strings
            assert numbers.ndim == len(value["axes"])
    assert set(found["seconds"]) == set(SECTIONS)
    states = say("inspect", ids[1], "--json", "--sections", "states", "--samples", "2").json()["quantities"]
    assert np.shape(states["h"]["values"]) == (1, 10, 2, 4)


def test_sections_may_be_parted_by_commas_or_spaces(say, ids):
    for given in (["theory,profile"], ["theory", "profile"], ["theory,", "profile"]):
        found = say("inspect", ids[0], "--json", "--sections", *given).json()
        assert {value["section"] for value in found["quantities"].values()} == {"theory", "profile"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--step", "7"], "kept its weights at the steps 0, 1, 2, 3, but step 7 was asked for."),
        (["--samples", "0"], "samples must be a whole number from 1 to 64, but got 0"),
        (["--sections", "soul"], "sections must be of states, profile,"),
        (["--step", "first"], "Argument --step: invalid int value: 'first'"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(say, ids, arguments, said):
    answer = say("inspect", ids[0], *arguments)
    assert (answer.status, answer.out) == (2, "")
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1


def test_an_unknown_run_and_one_that_kept_nothing(say, folder, ids):
    assert say("inspect", "r-0000000").status == 2
    store = Store.open(folder)
    _, (run_id,) = store.create([{"steps": 1}], ["old"])
    store.request_stop(run_id)
    answer = say("inspect", run_id, "--json")
    assert answer.status == 2
    assert f"run {run_id} has kept no weights to look into" in answer.json()["error"]
    store.delete([run_id])
    store.purge([run_id])


def test_as_people_start_it(trained: Said, folder, ids):
    run = process("inspect", ids[0], "--store", str(folder), "--sections", "lyapunov", "--timings")
    out, err = run.communicate(timeout=120)
    assert (run.returncode, err) == (0, "")
    assert "Lyapunov  largest" in out
    assert ", over stretches of time, samples and random starts\n" in out
    assert out.splitlines()[-1].startswith("lyapunov")


def test_of_a_truncated_run_it_is_said_which_gradient_is_shown(say, ids, tmp_path):
    spec = RunSpec.make(task="france", gap=5, cell="tanh", hidden=4, embedding=4, steps=6, truncate=4, device="cpu")
    store = Store.open(tmp_path / "mine")
    _, (run_id,) = store.create([spec.to_json()], ["cut"])
    with store.writer(run_id) as writer:
        writer.begin(FACTS, INFO)
        writer.keep(0, Trainer(spec).weights())
        writer.append(rows(0, 6))
        writer.finish("finished")
    said = say("inspect", run_id, "--sections", "profile", store=store)
    assert said.out.splitlines()[2].startswith(
        "Shown is the full gradient, through all timesteps, while training used chunks of 4: "
    )
    assert say("inspect", run_id, "--sections", "profile", "--json", store=store).json()["truncate"] == 4
    assert "full gradient" not in say("inspect", ids[0], "--sections", "profile").out
    assert say("inspect", ids[0], "--sections", "profile", "--json").json()["truncate"] is None


@pytest.mark.parametrize("value", [1e26, np.nan])
def test_what_is_not_finite_is_said_in_words(say, tmp_path, value):
    spec = RunSpec.make(task="france", gap=5, cell="relu", hidden=4, embedding=4, steps=6, device="cpu")
    store = Store.open(tmp_path / "mine")
    _, (run_id,) = store.create([spec.to_json()], ["broken"])
    with store.writer(run_id) as writer:
        writer.begin(FACTS, INFO)
        writer.keep(0, {name: np.full_like(weights, value) for name, weights in Trainer(spec).weights().items()})
        writer.append(rows(0, 6))
        writer.finish("diverged")
    said = say("inspect", run_id, store=store)
    assert said.status == 0, said.err
    told, *tables = said.out.split("\n\n")[1:]
    assert "nan" not in told
    assert "none of this form" not in told
    lines = dict(line.split("  ", 1) for line in told.splitlines())
    assert lines["signal to noise"].strip() == "not known: what it is worked out from is not finite, or exactly 0"
    assert tables


def test_one_sample_has_no_noise_and_that_is_said(say, ids):
    said = say("inspect", ids[0], "--samples", "1", "--sections", "weight_gradient").out
    assert "signal to noise     not known: it takes at least two samples\n" in said


@pytest.mark.parametrize(("exponent", "said"), [(2.5, "10^2.50"), (-np.inf, "0"), (np.inf, "infinite")])
def test_a_power_of_ten_that_is_none_is_a_word(exponent, said):
    assert _power(exponent) == said
