import numpy as np
import pytest
import torch

from diagnostics.measures.itemised import itemised, itemised_steps, lag_profile
from tests.diagnostics.measures.recurrent_cases import CELLS, case


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 3])
def test_one_walk_gives_what_a_backward_pass_per_answer_gives(cell: str, layers: int) -> None:
    found = case(cell, layers=layers)
    T, B, H = found.output.shape
    head = torch.randn(T, H, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    answers = [0, 2, 3, T - 1]
    losses = [(found.output[tau] @ head[tau]).tanh() for tau in answers]
    direct, expected = [], np.zeros((layers, len(answers), T, B))
    for row, (tau, loss) in enumerate(zip(answers, losses, strict=True)):
        own = found.output.detach()[tau].clone().requires_grad_()
        direct.append(torch.autograd.grad((own @ head[tau]).tanh().sum(), own)[0].numpy())
        torch.autograd.grad(loss.sum(), found.x, retain_graph=True)
        for layer, trace in enumerate(found.traces):
            parts = [trace.grad_h] + ([] if trace.grad_c is None else [trace.grad_c])
            expected[layer, row] = torch.cat(parts, dim=2).norm(dim=2).numpy()
    said: list[float] = []
    w_ih = [layer.weight_ih.detach().numpy() for layer in found.recurrent.layers]
    paths = [found.path(layer) for layer in range(layers)]
    got = itemised(paths, w_ih, np.stack(direct), answers, said.append)
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-15)
    assert said == sorted(said)
    assert said[-1] == 1


def test_a_linear_recurrence_has_a_profile_in_closed_form() -> None:
    found = case("identity", T=6, B=2, H=3)
    with torch.no_grad():
        found.recurrent.layers[0].weight_hh.copy_(0.5 * torch.eye(3, dtype=torch.float64)[[1, 2, 0]])
    got = itemised([found.path(0)], [np.empty(0)], np.full((6, 2, 3), 3**-0.5), range(6))
    k, tau = np.meshgrid(np.arange(6), np.arange(6))
    np.testing.assert_allclose(got[0, :, :, 0], np.where(k <= tau, 0.5 ** (tau - k.astype(float)), 0), rtol=1e-14)
    np.testing.assert_allclose(lag_profile(np.median(got, axis=3), range(6))[0], 0.5 ** np.arange(6.0), rtol=1e-14)


def test_lags_that_no_pair_has_are_not_a_number() -> None:
    matrix = np.arange(10.0).reshape(1, 2, 5)
    np.testing.assert_array_equal(lag_profile(matrix, [1, 3]), [[(1 + 8) / 2, (0 + 7) / 2, 6, 5, np.nan]])


def test_which_answers_are_followed() -> None:
    np.testing.assert_array_equal(itemised_steps(5, [4]), range(5))
    chosen = itemised_steps(1000, range(990, 1000))
    assert len(chosen) <= 64
    assert set(range(990, 1000)) <= set(chosen.tolist())
    assert chosen[0] == 0
    assert (np.diff(chosen) > 0).all()
    assert len(itemised_steps(1000, range(1000))) <= 64
    with pytest.raises(ValueError, match="steps and most must be at least 1, but got 0 and 64"):
        itemised_steps(0, [])


@pytest.mark.parametrize("answers", [[], [-1], [7], [3, 3], [4, 2]])
def test_answers_that_do_not_rise_within_the_sequence_are_refused(answers: list[int]) -> None:
    found = case("tanh")
    with pytest.raises(ValueError, match="answer_steps must rise within 0 to 6, but got"):
        itemised([found.path(0)], [np.empty(0)], np.zeros((len(answers), 3, 5)), answers)
