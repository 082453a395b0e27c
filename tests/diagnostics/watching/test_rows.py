from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from diagnostics.measures.evidence import gather
from diagnostics.records import Records, Run
from diagnostics.watching.passing import LayerPass, Pass
from diagnostics.watching.rows import Rows, aligned
from tests.diagnostics.watching.loops import B, T, a_pass


def rows_of(first: Pass, *, mean: bool = True, distance: int | None = None, timesteps: int | None = None) -> Rows:
    return Rows(first, mean=mean, distance=distance, timesteps=timesteps)


def row(first: Pass, one: Pass | None = None, scale: float = 1.0, **more: bool) -> dict[str, np.ndarray]:
    found, _ = rows_of(first, **more).row(first if one is None else one, scale)
    assert found is not None
    return found


def test_a_row_is_the_median_norm_with_the_mean_over_the_batch_undone() -> None:
    one = a_pass()
    norms = one.layers[0].grad_h.norm(dim=2).numpy()
    found = row(one)
    assert found["state_grad"][0, :, 1] == pytest.approx(B * np.median(norms, axis=1), rel=1e-12)
    assert found["grad_h"][0] == pytest.approx(found["state_grad"][0, :, 1], rel=1e-12)
    assert found["state_norm"][0] == pytest.approx(np.median(one.layers[0].h.norm(dim=2).numpy(), axis=1), rel=1e-12)
    assert set(found) == {"state_grad", "grad_h", "state_norm", "saturated"}


def test_of_a_summed_loss_there_is_no_mean_to_undo_and_a_scaled_one_is_unscaled() -> None:
    one = a_pass()
    assert row(one, mean=False)["state_grad"] * B == pytest.approx(row(one)["state_grad"], rel=1e-12)
    assert row(one, scale=1024.0)["state_grad"] * 1024 == pytest.approx(row(one)["state_grad"], rel=1e-12)


def test_h_and_c_count_together() -> None:
    plain = a_pass().layers[0]
    layer = replace(plain, c=2 * plain.h, grad_c=3 * plain.grad_h)
    found, alone = row(a_pass(kind="mine", layer=layer)), row(a_pass())
    assert found["state_grad"][..., 1] == pytest.approx(math.sqrt(10) * alone["state_grad"][..., 1], rel=1e-12)
    assert found["grad_c"] == pytest.approx(3 * alone["grad_h"], rel=1e-12)
    assert np.isnan(found["saturated"]).all()


def test_gates_that_are_known_say_how_many_are_saturated() -> None:
    plain = a_pass().layers[0]
    gate = torch.full_like(plain.h, 0.5)
    shut = gate.clone()
    shut[0] = 0.01
    layer = replace(plain, gates={"r": shut, "z": gate, "n": gate})
    assert row(a_pass(kind="gru", layer=layer))["saturated"][0] == pytest.approx([0.5, *[0.0] * (T - 1)])


def test_samples_of_different_lengths_end_together() -> None:
    lengths = torch.tensor([3, 7, 5, 1])
    one = a_pass(lengths=lengths)
    for values in (one.layers[0].h, one.layers[0].grad_h):
        values *= (torch.arange(T)[:, None] < lengths)[..., None]
    norms = one.layers[0].grad_h.norm(dim=2).numpy()
    found = row(one)["state_grad"][0, :, 1] / B
    for back in range(T):
        there = [norms[length - 1 - back, b] for b, length in enumerate(lengths.tolist()) if length > back]
        assert found[T - 1 - back] == pytest.approx(np.median(there), rel=1e-12)
    assert rows_of(one).facts().tokens[-2:] == ("end−1", "end")


@pytest.mark.parametrize("lengths", [None, torch.tensor([5, 3, 9, 7])])
def test_a_reverse_direction_that_is_read_at_the_last_timestep_begins_there(lengths: torch.Tensor | None) -> None:
    def a_batch(steps: int) -> Pass:
        below, top = a_pass(steps=steps, seed=1).layers[0], a_pass(steps=steps, seed=2).layers[0]
        top.grad_h[1:] = 0.0
        if lengths is not None:
            for values in (below.h, below.grad_h, top.h):
                values *= (torch.arange(steps)[:, None] < lengths)[..., None]
        return Pass("part", "gru", [below, top], "mine.gru", "reverse", lengths)

    rows, longer = rows_of(a_batch(9), timesteps=6), a_batch(9)
    assert (rows.loss_step, rows.distance) == (0, 0)
    assert rows.facts().tokens == ("end", *(f"end−{back}" for back in range(1, 6)))
    found, _ = rows.row(longer, 1.0)
    assert found is not None
    norms = longer.layers[0].grad_h.norm(dim=2).numpy()
    for step in range(6):
        there = [norms[step, b] for b in range(B) if lengths is None or lengths[b] > step]
        assert found["state_grad"][0, step, 1] / B == pytest.approx(np.median(there), rel=1e-12)
    assert (found["state_grad"][1, 1:, 1] == 0).all()
    assert found["state_grad"][1, 0, 1] > 0
    whole = rows.row(longer, 1.0, whole=True)[0]
    assert whole is not None
    last = rows.last(whole)
    assert last is not None
    np.testing.assert_array_equal(last["state_grad"], found["state_grad"])


def test_a_walk_that_is_read_at_its_start_is_called_by_its_timesteps_where_all_have_them() -> None:
    one = a_pass(direction="reverse")
    one.layers[0].grad_h[1:] = 0.0
    assert rows_of(one).facts().tokens == tuple(f"t={T - 1 - step}" for step in range(T))
    assert rows_of(replace(one, direction="forward")).facts().tokens == tuple(f"t={step}" for step in range(T))


def test_padding_that_no_length_tells_of_is_found_by_its_gradient() -> None:
    ends = [2, 6, 4, 6]
    one = a_pass()
    for b, end in enumerate(ends):
        one.layers[0].grad_h[end + 1 :, b] = 0.0
    known = aligned(replace(one, lengths=torch.tensor(ends) + 1), None)
    found = aligned(one, None)
    assert found.how == "gradients"
    assert torch.equal(found.layers[0].grad_h, known.layers[0].grad_h)
    assert "aligned at the last step with a gradient" in rows_of(one).about()["alignment"]


def test_a_loss_in_the_middle_of_all_samples_is_where_the_profile_begins() -> None:
    one = a_pass()
    one.layers[0].grad_h[4:] = 0.0
    facts = rows_of(one).facts()
    assert (facts.loss_step, facts.distance, facts.informative_steps) == (3, 3, ())
    assert facts.tokens == tuple(f"t={t}" for t in range(T))
    asked = rows_of(one, distance=2).facts()
    assert (asked.distance, asked.informative_steps) == (2, (1,))
    assert rows_of(one, distance=90).facts().distance == 3


def test_without_any_gradient_the_loss_is_taken_to_be_at_the_end() -> None:
    one = a_pass()
    one.layers[0].grad_h.zero_()
    assert rows_of(one).facts().loss_step == T - 1


def test_a_longer_pass_counts_with_its_last_timesteps_and_a_shorter_one_not_at_all() -> None:
    rows = rows_of(a_pass())
    longer = a_pass(steps=T + 3, seed=2)
    found, length = rows.row(longer, 1.0)
    assert found is not None
    assert length == T + 3
    whole, _ = rows.row(longer, 1.0, whole=True)
    assert whole is not None
    assert whole["state_grad"] == pytest.approx(row(longer)["state_grad"], rel=1e-12)
    assert found["state_grad"] == pytest.approx(whole["state_grad"][:, 3:], rel=1e-12)
    assert rows.row(a_pass(steps=T - 1), 1.0) == (None, T - 1)


@pytest.mark.parametrize("lengths", [None, torch.tensor([T + 3, 2, 5, T])])
def test_the_last_timesteps_of_a_whole_row_are_the_row_of_the_last_timesteps(lengths: torch.Tensor | None) -> None:
    rows = rows_of(a_pass())
    steps = torch.arange(T + 3)[:, None]
    longer = a_pass(steps=T + 3, seed=2, input_grad=torch.ones(T + 3, B, 2, dtype=torch.float64), lengths=lengths)
    if lengths is not None:
        for values in (longer.layers[0].h, longer.layers[0].grad_h, longer.input_grad):
            assert values is not None
            values *= (steps < lengths)[..., None]
    whole, (cut, _) = rows.row(longer, 1.0, whole=True)[0], rows.row(longer, 1.0)
    assert whole is not None
    assert cut is not None
    last = rows.last(whole)
    assert last is not None
    assert last.keys() == cut.keys()
    for name, values in cut.items():
        np.testing.assert_array_equal(last[name], values)


def test_timesteps_says_how_many_of_the_last_there_are() -> None:
    rows = rows_of(a_pass(), timesteps=4)
    assert (rows.timesteps, rows.facts().tokens) == (4, ("end−3", "end−2", "end−1", "end"))
    with pytest.raises(ValueError, match=r"timesteps must be at most those of part, 7, but got 8"):
        rows_of(a_pass(), timesteps=8)


def test_in_reverse_the_walk_ends_at_the_first_timestep() -> None:
    assert rows_of(a_pass(direction="reverse")).facts().tokens == tuple(f"t={t}" for t in range(T))[::-1]
    assert rows_of(a_pass(direction="reverse"), timesteps=3).facts().tokens == ("t=2", "t=1", "t=0")


def test_cuts_count_from_the_first_timestep_that_is_kept() -> None:
    asked = {"every": 2, "reduction": "mean", "clip": "norm:1.0", "loss": True}
    assert rows_of(a_pass(cuts=(2, 5))).spec(**asked)["watched"]["cuts"] == [2, 5]  # type: ignore[arg-type]
    assert rows_of(a_pass(cuts=(2, 5)), timesteps=4).spec(**asked)["watched"]["cuts"] == [2]  # type: ignore[arg-type]


def test_a_cut_is_what_a_verdict_says_ended_the_gradient() -> None:
    one = a_pass(cuts=(4,))
    one.layers[0].grad_h[:4] = 0.0
    rows = rows_of(one)
    spec = rows.spec(every=1, reduction="mean", clip="", loss=False)
    columns = {name: values[None] for name, values in row(one).items()}
    evidence = gather(
        Run("", "", "running", spec, rows.facts(), Records({"profile_step": np.zeros(1, int), **columns}))
    )
    assert evidence is not None
    assert evidence.cut_off
    assert evidence.truncate == 3


def test_the_last_answer_has_a_column_of_its_own_and_keeps_it() -> None:
    plain = a_pass().layers[0]
    layer = replace(plain, last_answer=(0.5 * plain.grad_h, None))
    rows = rows_of(a_pass(layer=layer, answers=T))
    found, _ = rows.row(a_pass(layer=layer, answers=T), 1.0)
    assert found is not None
    assert found["answer_grad"] == pytest.approx(0.5 * found["state_grad"], rel=1e-12)
    without, _ = rows.row(a_pass(), 1.0)
    assert without is not None
    assert np.isnan(without["answer_grad"]).all()
    assert "answer_grad" not in (rows_of(a_pass()).row(a_pass(layer=layer), 1.0)[0] or {})


def test_the_input_counts_where_it_is_known() -> None:
    gradient = torch.ones(T, B, 4, dtype=torch.float64)
    assert row(a_pass(input_grad=gradient))["input_grad"] == pytest.approx(np.full((T, 3), 2.0 * B))


def test_numbers_that_are_none_stay_what_they_are() -> None:
    one = a_pass()
    one.layers[0].grad_h[2, 0, 0] = math.nan
    one.layers[0].grad_h[3, :, 0] = math.inf
    found = row(one)["state_grad"][0, :, 1]
    assert np.isnan(found[2])
    assert np.isinf(found[3])


def test_bfloat16_is_measured_in_float64() -> None:
    one = a_pass()
    half = LayerPass(h=one.layers[0].h.bfloat16(), grad_h=(1e-30 * one.layers[0].grad_h).bfloat16())
    found = row(a_pass(layer=half))["state_grad"]
    assert (found > 0).all()
    assert found.shape == (1, T, 3)
