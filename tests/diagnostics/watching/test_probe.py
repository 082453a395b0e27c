"""Checkpoints of plain recurrent modules: what is found in a file, what is refused, and that the profile is exact."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics.checkpoint import SAMPLES, Asked, Probed
from diagnostics.watching import probe

T = 7


class Model(nn.Module):
    """Two recurrences and what is none."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.encoder = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
        self.decoder = nn.GRU(8, 5, bias=False)


def saved(path: Path, what: Any) -> Path:
    torch.save(what, path)
    return path


def test_every_recurrence_of_a_model_is_found_wherever_it_lies(tmp_path: Path) -> None:
    state = Model().state_dict()
    for holder in (state, {"state_dict": state, "epoch": 3}, {"model": dict(state), "optimizer": {"lr": 0.1}}):
        found = probe.parts(probe.read(saved(tmp_path / "model.pt", holder)))
        told = [
            (one.name, one.kind, one.inputs, one.hidden, one.layers, one.bidirectional, one.refused) for one in found
        ]
        assert told == [("decoder", "gru", 8, 5, 1, False, ""), ("encoder", "lstm", 3, 4, 2, True, "")]


def test_safetensors_and_the_old_format_hold_the_same(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    state = Model().state_dict()
    safetensors.save_file(state, tmp_path / "model.safetensors")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("model.safetensors", "old.pt"):
        found = probe.read(tmp_path / name)
        assert set(found) == {name for name in state if "_l" in name}
        for own, values in found.items():
            torch.testing.assert_close(values, state[own], rtol=0, atol=0)


def test_the_module_alone_has_no_name(tmp_path: Path) -> None:
    [part] = probe.parts(probe.read(saved(tmp_path / "rnn.pt", nn.RNN(2, 3).state_dict())))
    assert (part.name, part.kind, part.hidden) == ("", "rnn", 3)
    assert part.title == "the whole file · nn.RNN, 1 layer of 3"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: nn.LSTM(3, 4, proj_size=2).state_dict(), "is projected"),
        (lambda: {"weight_hh_l0": torch.ones(10, 4), "weight_ih_l0": torch.ones(10, 3)}, "no 1, 3 or 4 blocks of H×H"),
        (lambda: {"weight_hh_l0": torch.ones(4, 4)}, "has no weight_ih_l0"),
        (lambda: {"weight_ih_l0": torch.ones(4), "weight_hh_l0": torch.ones(4, 4)}, "of two axes"),
        (lambda: {"weight_ih_l0": torch.ones(3, 2), "weight_hh_l0": torch.ones(4, 4)}, "must have the shape"),
        (lambda: {**nn.GRU(2, 3).state_dict(), "weight_hh_l2": torch.ones(9, 3)}, "weight_ih_l1 is missing"),
        (lambda: {k: v.to(torch.int8) for k, v in nn.GRU(2, 3).state_dict().items()}, "is of int8"),
    ],
)
def test_what_cannot_be_probed_says_why(make: Callable[[], dict[str, Tensor]], why: str) -> None:
    weights = make()
    [part] = probe.parts(weights)
    assert why in part.refused
    assert part.refused.startswith("The module of the file cannot be probed: ")
    with pytest.raises(ValueError, match="cannot be probed"):
        probe.probe(weights, Asked(""))


def reference(module: nn.RNNBase, asked: Asked) -> Tensor:
    """‖∂L/∂h_t‖ [T,B] of a one-layer module by plain autograd through its unrolled cell."""
    torch.manual_seed(asked.seed)
    x = torch.randn(asked.timesteps, SAMPLES, module.input_size, dtype=torch.float64) * asked.scale
    x = torch.zeros_like(x) if asked.inputs == "zeros" else x
    h = torch.zeros(SAMPLES, module.hidden_size, dtype=torch.float64, requires_grad=True)
    c = torch.zeros_like(h, requires_grad=True)
    states = []
    for x_t in x:
        # A copy each: what is handed on is a node of its own, so that c counts by its direct path alone.
        if isinstance(module, nn.LSTM):
            h, c = (value.clone() for value in torch.lstm_cell(x_t, (h, c), *module._flat_weights))
            states.append((h, c))
        elif isinstance(module, nn.GRU):
            h = torch.gru_cell(x_t, h, *module._flat_weights)
            states.append((h,))
        else:
            cell = torch.rnn_tanh_cell if module.nonlinearity == "tanh" else torch.rnn_relu_cell  # type: ignore[attr-defined]
            h = cell(x_t, h, *module._flat_weights)
            states.append((h,))
    loss = h.square().sum() if asked.loss == "norm" else (h * torch.randn_like(h)).sum()
    flat = [value for one in states for value in one]
    grads = torch.autograd.grad(loss, flat, allow_unused=True)
    kept = [torch.zeros_like(v) if g is None else g for v, g in zip(flat, grads, strict=True)]
    return torch.stack(kept).reshape(asked.timesteps, -1, *h.shape).square().sum((1, 3)).sqrt()


@pytest.mark.parametrize("loss", ["norm", "projection"])
@pytest.mark.parametrize("inputs", ["noise", "zeros"])
@pytest.mark.parametrize(
    "module", [nn.RNN(3, 4), nn.RNN(3, 4, nonlinearity="relu"), nn.GRU(3, 4), nn.LSTM(3, 4)], ids=str
)
def test_the_profile_is_that_of_plain_autograd(module: nn.RNNBase, inputs: str, loss: str) -> None:
    module = module.double()
    asked = Asked("", getattr(module, "nonlinearity", "tanh"), inputs, 0.7, T, loss, seed=5)
    found = probe.probe(module.state_dict(), asked)
    wanted = reference(module, asked).detach().numpy()[::-1]
    [walk] = found.walks
    np.testing.assert_allclose(walk.gradient, np.percentile(wanted, (5, 50, 95), axis=1).T, rtol=1e-12, atol=1e-300)


def test_layers_and_directions_are_told_apart_and_agree_with_the_module() -> None:
    module = nn.GRU(3, 4, num_layers=2, bidirectional=True).double()
    found = probe.probe(module.state_dict(), Asked("", timesteps=T))
    assert [found.label(walk) for walk in found.walks] == ["layer 1 →", "layer 1 ←", "layer 2 →", "layer 2 ←"]
    x = torch.randn(T, SAMPLES, 3, generator=torch.manual_seed(0), dtype=torch.float64)
    _, last = module(x)
    # Of a squared norm the gradient at the last state is twice that state, of either direction.
    for walk, state in zip(found.walks[2:], last[2:], strict=True):
        at_loss = np.percentile(2 * state.norm(dim=1).detach().numpy(), 50)
        np.testing.assert_allclose(walk.gradient[0, 1], at_loss, rtol=1e-12)


def test_numbers_of_the_weights_are_those_of_each_gate() -> None:
    weights = nn.LSTM(3, 4).state_dict()
    [walk] = probe.probe(weights, Asked("", timesteps=T)).walks
    blocks = weights["weight_hh_l0"].double().reshape(4, 4, 4)
    np.testing.assert_allclose(walk.sigma_max, torch.linalg.matrix_norm(blocks, 2))
    np.testing.assert_allclose(walk.spectral_radius, torch.linalg.eigvals(blocks).abs().amax(1))


def test_a_result_reads_back_as_it_was_also_where_nothing_is_finite() -> None:
    weights = {name: values * 1e30 for name, values in nn.RNN(3, 4, nonlinearity="relu").state_dict().items()}
    found = probe.probe(weights, Asked("", "relu", timesteps=40))
    from diagnostics.strict_json import dumps

    again = Probed.from_json(json.loads(dumps(found.to_json())))
    assert not np.isfinite(again.walks[0].gradient).all()
    for one, other in zip(found.walks, again.walks, strict=True):
        np.testing.assert_array_equal(one.gradient, other.gradient)
        assert one.sigma_max == other.sigma_max


def test_what_would_take_minutes_is_refused() -> None:
    wide = nn.LSTM(2048, 2048, 2, device="meta").state_dict()
    weights = {name: torch.zeros(1).expand(values.shape) for name, values in wide.items()}
    with pytest.raises(ValueError, match="would take too long: at most"):
        probe.probe(weights, Asked("", timesteps=1000))


class Boom:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("boom"),)


def _hostile(kind: str, path: Path) -> None:
    if kind == "code":
        torch.save({"weight_hh_l0": torch.ones(4, 4), "more": Boom()}, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Boom()))
    elif kind == "model":
        torch.save(nn.LSTM(2, 3), path)
    elif kind == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data/0", bytes(10**7))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("hello.txt", "hello")
    elif kind == "cut":
        torch.save(nn.LSTM(20, 30).state_dict(), path)
        path.write_bytes(path.read_bytes()[:-400])
    elif kind == "safetensors":
        header = b'{"weight_hh_l0":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}'
        path.write_bytes(len(header).to_bytes(8, "little") + header)
    else:
        path.write_bytes(b"GIF89a, and what follows is no checkpoint")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("code", "holds more than weights"),
        ("pickle", "holds more than weights|cannot be read"),
        ("model", "holds more than weights.*torch.nn.modules.rnn.LSTM.*save model.state_dict"),
        ("bomb", "is no checkpoint of torch"),
        ("zip", "cannot be read as weights"),
        ("cut", "damaged|cannot be read"),
        ("safetensors", "safetensors"),
        ("picture", "neither a safetensors file nor one that torch.save wrote"),
    ],
)
def test_a_hostile_file_is_refused_in_a_sentence_and_nothing_of_it_runs(
    kind: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _hostile(kind, tmp_path / "file")
    with pytest.raises(ValueError, match=why) as caught:
        probe.read(tmp_path / "file")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "boom").exists()


def test_a_view_that_claims_more_than_it_holds_is_left_out(tmp_path: Path) -> None:
    huge = {"weight_hh_l0": torch.zeros(1).expand(10**6, 10**6), "weight_ih_l0": torch.zeros(1).expand(10**6, 10**6)}
    assert probe.read(saved(tmp_path / "huge.pt", huge)) == {}
