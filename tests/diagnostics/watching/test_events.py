from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from diagnostics import Event, watch
from diagnostics.measures.verdict import verdict
from diagnostics.records import Records, Run
from diagnostics.watching.events import Events, _may_be, broken_in
from diagnostics.watching.passing import LayerPass, Pass
from diagnostics.watching.rows import Rows
from tests.diagnostics.watching.loops import H, T, a_pass, batches, mean_square, model


def run_of(decay: float) -> Run:
    first = a_pass(decay=decay, steps=30)
    rows = Rows(first, mean=True, distance=None, timesteps=None)
    columns, _ = rows.row(first, 1.0)
    assert columns is not None
    spec = rows.spec(every=1, reduction="mean", clip="", loss=False)
    records = Records({"profile_step": np.zeros(1, int), **{name: values[None] for name, values in columns.items()}})
    return Run("", "part", "running", spec, rows.facts(), records)


@pytest.mark.parametrize(("decay", "kind"), [(0.5, "vanishing"), (2.0, "exploding")])
def test_a_profile_that_fades_or_grows_is_said_once_for_each_part(decay: float, kind: str) -> None:
    heard: list[Event] = []
    events = Events(heard.append)
    for step in (10, 20):
        events.profile(run_of(decay), "part", step)
        events.profile(run_of(decay), "other", step)
    assert [(event.kind, event.step) for event in heard] == [(kind, 10)] * 2
    said = {"vanishing": "Fades", "exploding": "Exploding"}[kind]  # nobody said how far back the answer lies
    assert heard[0].sentence.startswith(f"part, training step 10: {said}: the gradient")
    assert events.all == tuple(heard)


def test_a_profile_that_arrives_is_no_event() -> None:
    events = Events(None)
    events.profile(run_of(0.99), "part", 0)
    assert events.all == ()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.floats(1e-4, 1e4), st.sampled_from([0.0, math.inf, math.nan])), min_size=1, max_size=8),
    st.data(),
)
def test_a_look_that_is_quick_misses_nothing(profile: list[float], data: st.DataObject) -> None:
    loss_step = data.draw(st.integers(0, len(profile) - 1))
    values = np.repeat(np.array(profile)[None, None, :, None], 3, axis=3)
    whole = a_pass(steps=len(profile))
    facts = replace(
        Rows(whole, mean=True, distance=None, timesteps=None).facts(),
        loss_step=loss_step,
        distance=data.draw(st.integers(0, loss_step)),
    )
    run = Run("", "part", "running", {"watched": {}}, facts, Records({"state_grad": values}))
    kind = {"fades": "vanishing"}.get(str(verdict(run).kind), verdict(run).kind)
    if kind in ("vanishing", "exploding"):
        assert _may_be(run, kind)


def test_each_kind_may_have_a_function_of_its_own() -> None:
    heard: list[Event] = []
    events = Events({"exploding": heard.append})
    events.profile(run_of(0.5), "part", 0)
    events.profile(run_of(2.0), "part", 1)
    assert [event.kind for event in heard] == ["exploding"]
    assert len(events.all) == 2


def test_what_the_persons_function_raises_is_a_warning() -> None:
    def late(event: Event) -> None:
        raise LookupError("no such channel")

    events = Events(late)
    with pytest.warns(
        RuntimeWarning, match=r"on_event raised LookupError on the event 'vanishing', .*: no such channel"
    ):
        events.profile(run_of(0.5), "part", 0)


def test_an_interrupt_in_the_persons_function_is_one() -> None:
    def leave(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Events(leave).profile(run_of(0.5), "part", 0)


def row(**columns: Any) -> dict[str, Any]:
    usual = {"step": 7, "nan_count": 0, "inf_count": 0, "zero_count": 0, "grad_norm_pre": 1.0, "grad_norm_post": 1.0}
    return {**usual, "clip_factor": 1.0, **columns}


@pytest.mark.parametrize(
    ("columns", "rule", "kind"),
    [
        ({"grad_norm_pre": 1e30, "grad_norm_post": 0.0}, "norm:1.0", "clip_erased"),
        ({"grad_norm_pre": 1e30, "grad_norm_post": 0.0}, "", "clip_erased"),
        ({"grad_norm_pre": math.inf, "grad_norm_post": math.nan, "inf_count": 2}, "value:1.0", "clip_made_nan"),
        ({"grad_norm_pre": 5.0, "grad_norm_post": 5.0}, "norm:1.0", "clip_not_applied"),
        ({"grad_norm_pre": 5.0, "grad_norm_post": 1.0}, "norm:1.0", None),
        ({"grad_norm_pre": 5.0, "grad_norm_post": 5.0}, "", None),
        ({"grad_norm_pre": 5.0, "grad_norm_post": 5.0}, "none", None),
        ({"grad_norm_pre": 0.0, "grad_norm_post": 0.0}, "norm:1.0", None),
    ],
)
def test_what_clipping_did(columns: dict[str, Any], rule: str, kind: str | None) -> None:
    events = Events(None)
    events.clipping(row(**columns), rule)
    events.clipping(row(**columns), rule)
    assert [(event.kind, event.step) for event in events.all] == ([(kind, 7)] if kind else [])


def broken(one: Pass, *, tensor: str, timestep: int, value: float = math.nan) -> Pass:
    layer = one.layers[0]
    spoiled = getattr(layer, tensor).clone()
    spoiled[timestep, 1, 2] = value
    return replace(one, layers=[replace(layer, **{tensor: spoiled})])


def test_states_come_before_gradients_and_the_first_timestep_before_later_ones() -> None:
    both = broken(broken(a_pass(), tensor="h", timestep=4), tensor="grad_h", timestep=6)
    found = broken_in([both])
    assert found is not None
    assert (found[0].tensor, found[0].timestep, found[0].entries) == ("the state h", 4, 1)
    assert found[1] is both
    backward = broken_in([broken(broken(a_pass(), tensor="grad_h", timestep=2), tensor="grad_h", timestep=5)])
    assert backward is not None
    assert (backward[0].tensor, backward[0].timestep) == ("the gradient with respect to h", 5)
    assert broken_in([a_pass()]) is None


def test_a_timestep_is_that_of_the_sequence_also_in_reverse() -> None:
    found = broken_in([broken(a_pass(direction="reverse"), tensor="h", timestep=1, value=math.inf)])
    assert found is not None
    assert found[0].timestep == T - 2


def test_bfloat16_can_be_looked_at() -> None:
    layer = a_pass().layers[0]
    half = LayerPass(h=layer.h.bfloat16(), grad_h=(layer.grad_h * math.inf).bfloat16())
    found = broken_in([a_pass(layer=half)])
    assert found is not None
    assert found[0].tensor == "the gradient with respect to h"


def test_where_the_step_was_not_recorded_the_parameter_is_named() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), 0.0)
    heard: list[Event] = []
    with watch(network, every=100, store=False, on_event={"non_finite": heard.append}) as w:
        for step, (x, y) in enumerate(batches(3)):
            optimizer.zero_grad()
            optimizer.zero_grad()
            mean_square(network(x), y).backward()
            if step == 1:
                network.rnn.weight_hh_l0.grad[3, 2] = math.nan  # type: ignore[index]
            w.step(optimizer)
    (event,) = heard
    assert (event.step, event.layer, event.timestep) == (1, None, None)
    assert "1 of 100 entries of the gradient of rnn.weight_hh_l0 (nan)" in event.sentence
    assert w.runs[0].state == "diverged"  # the update itself was made of it


def test_events_are_kept_with_the_run() -> None:
    from diagnostics.store import Store

    network = model(kind=nn.RNN)
    with torch.no_grad():
        network.rnn.weight_hh_l0.mul_(0.01)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    with watch(network, store=False) as w:
        for x, y in batches(2):
            optimizer.zero_grad()
            mean_square(network(x), y).backward()
            w.step(optimizer)
    folder = w._recording.path
    assert folder is not None
    kept = Store.open(folder).info(w.run_ids[0])["watched"]["events"]
    assert [event["kind"] for event in kept] == ["vanishing"]
    assert kept[0]["layer"] == 0
    assert H == 5
