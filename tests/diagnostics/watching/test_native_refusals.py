"""Layers that cannot be watched, in words, and those that are watched with care."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from diagnostics.watching import refusing
from diagnostics.watching.native import attach, layers

from .native_cases import CELLS, watching

T, B, I, H = 6, 3, 2, 4  # noqa: E741


def made(cell: str) -> nn.RNNBase:
    torch.manual_seed(0)
    cls, fixed = CELLS[cell]
    return cls(I, H, **fixed).double()


def same(got: Tensor | None, want: Tensor) -> None:
    assert got is not None
    assert got.shape == want.shape
    assert (got - want).abs().max().item() <= 1e-12


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
@pytest.mark.parametrize("way", ["hook", "parametrization"])
def test_weights_that_are_made_of_others(way: str) -> None:
    module, x = made("lstm"), torch.randn(T, B, I).double()
    if way == "hook":
        nn.utils.weight_norm(module, "weight_hh_l0")
    else:
        parametrizations.weight_norm(module, "weight_hh_l0")
    module(x)[0].sin().sum().backward()
    want = {name: parameter.grad.clone() for name, parameter in module.named_parameters() if parameter.grad is not None}
    module.zero_grad()
    source = attach(module)
    source.arm(check=True)
    module(x)[0].sin().sum().backward()
    (one,) = source.take()
    source.close()
    assert one.class_name == "torch.nn.LSTM"
    assert one.layers[0].weight == ""
    for name, parameter in module.named_parameters():
        same(parameter.grad, want[name])
    assert parametrize.is_parametrized(module) == (way == "parametrization")


def test_a_module_that_stands_in_two_places_is_watched_once() -> None:
    shared = made("gru")
    model = nn.ModuleDict({"encoder": shared, "decoder": shared})
    with watching(model) as source:
        model["decoder"](torch.randn(T, B, I).double())[0].sum().backward()
        (one,) = source.take()
    assert one.group == "encoder"
    assert list(layers(model)) == ["encoder"]


def test_a_subclass_with_a_forward_of_its_own_is_refused() -> None:
    class Residual(nn.LSTM):
        def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
            return x + super().forward(x)[0]

    class Initialised(nn.LSTM):
        pass

    source = attach(nn.ModuleList([Residual(4, 4), Initialised(4, 4)]))
    own = f"{__name__}.Residual"
    assert source.refused == {
        "0": f"0 is not watched: {own} has a forward of its own, which need not compute what torch.nn.LSTM does"
    }
    assert [type(module) for module in source.modules] == [Initialised]
    source.close()


def test_a_forward_that_was_replaced_is_refused() -> None:
    module = made("lstm")
    module.forward = module.forward  # type: ignore[method-assign]
    with watching(module) as source:
        assert source.covered() == ["LSTM is not watched: something else has put a forward in the place of its own"]


def test_a_tensor_of_another_kind_is_refused() -> None:
    class Own(Tensor):
        pass

    module = made("gru")
    with watching(module) as source:
        module(torch.randn(T, B, I).double().as_subclass(Own))
        (sentence,) = source.refused.values()
    assert sentence == "GRU is not watched: its input is a Own, whose numbers are not those of a plain tensor"


def test_an_empty_input_is_refused() -> None:
    module = made("gru")
    with watching(module) as source:
        assert module(torch.zeros(T, 0, I).double())[0].shape == (T, 0, H)
        (sentence,) = source.refused.values()
    assert sentence == "GRU is not watched: it was called with an empty input, or in a way that is not understood"


def test_transforms_of_torch_func_are_refused() -> None:
    module = made("tanh")
    with watching(module) as source:
        torch.func.grad(lambda x: module(x)[0].sum())(torch.randn(T, B, I).double())
        (sentence,) = source.refused.values()
    assert "torch.func" in sentence


def test_dropout_that_cuda_draws_is_refused() -> None:
    module = nn.LSTM(I, H, 2, dropout=0.5)
    x: Any = SimpleNamespace(device=torch.device("cuda"))
    assert refusing.of_call(module, x, ()) == (
        "its dropout between layers is drawn inside of cuda's own kernels, "
        "so that the same numbers cannot be drawn again; set its dropout to 0, or watch it on the CPU"
    )


def test_another_device_is_refused() -> None:
    module = nn.GRU(I, H, device="meta")
    with watching(module) as source:
        assert module(torch.empty(T, B, I, device="meta"))[0].shape == (T, B, H)
        (sentence,) = source.refused.values()
    assert sentence == "GRU is not watched: it runs on the device meta, and what is watched runs on cpu or cuda"


def test_replicas_have_a_forward_of_their_own() -> None:
    module = made("tanh")
    with watching(module) as source:
        replica = module._replicate_for_data_parallel()  # as nn.DataParallel does
        assert "forward" not in vars(replica)
        (sentence,) = source.refused.values()
    assert sentence == "RNN is not watched: nn.DataParallel runs copies of it that live for one step"


def test_a_compiled_model_is_not_traced_through_ours() -> None:
    module, x = made("gru"), torch.randn(T, B, I).double()
    compiled = torch.compile(module, backend="eager")
    want = module(x)[0]
    with watching(module):
        same(compiled(x)[0], want)


def test_one_sentence_tells_what_was_recorded_and_what_was_not() -> None:
    model = nn.ModuleDict({"rnn": made("gru")})
    with watching(model) as source:
        for x in (torch.randn(T, B, I).double(), torch.zeros(T, 0, I).double(), torch.randn(T, B, I).double()):
            model["rnn"](x)
        why = "it was called with an empty input, or in a way that is not understood"
        assert source.covered() == [
            "rnn (torch.nn.GRU) is watched: exact, by recurrences whose backward tells every state's gradient; "
            f"1 of its 3 calls in recorded training steps was not recorded, because {why}"
        ]
        assert source.refused == {"rnn": f"rnn: 1 of its 3 calls in recorded training steps was not recorded: {why}"}


def test_what_cannot_be_checked_is_said() -> None:
    model = nn.ModuleDict({"rnn": nn.LSTM(I, H, 3)})
    parametrizations.weight_norm(model["rnn"], "weight_hh_l0")
    parametrizations.spectral_norm(model["rnn"], "weight_hh_l1")
    model["rnn"].weight_hh_l2.requires_grad_(False)
    with watching(model, check=True) as source:
        model["rnn"](torch.randn(T, B, I))[0].sum().backward()
        (one,) = source.take()
        (sentence,) = source.covered()
    assert [layer.weight_sum for layer in one.layers] == [None] * 3
    assert sentence.endswith(
        "; its shares of the gradient cannot be checked, because weight_hh_l0, weight_hh_l1 are made of other "
        "parameters and rnn.weight_hh_l2 is frozen"
    )


def test_a_torch_without_what_is_relied_on_trains_unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusing, "NEEDED", ((torch._C, "_current_graph_task_id"), (torch._C, "no_such_name")))
    module, x = made("gru"), torch.randn(T, B, I).double()
    with watching(module) as source:
        module(x)[0].sum().backward()
        assert source.take() == []
    assert source.covered() == [
        f"GRU is not watched: this version of torch, {torch.__version__}, has no no_such_name, which watching relies on"
    ]


def test_a_torch_that_does_not_tell_of_transforms_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusing, "forward_ad", SimpleNamespace())
    monkeypatch.setattr(refusing, "torch", SimpleNamespace(_C=SimpleNamespace(), compiler=torch.compiler))
    assert refusing.of_moment(3, None) == ""
