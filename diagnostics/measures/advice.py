"""What to try next, from the run's own numbers and what was asked for. It never promises that a change will help."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from diagnostics.measures.evidence import Evidence
from diagnostics.measures.numbers import number, percent, steps

_GATES = {"lstm": "forget", "gru": "update"}
_OFTEN_CLIPPED = 0.5
"""From this share of clipped steps on, most updates are made from a gradient that the threshold has shortened."""


def advice(evidence: Evidence | None, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return up to three short sentences. ``spec`` is the run's spec as JSON; what it lacks is not spoken of."""
    if evidence is None or evidence.kind is None:
        return ()
    said = {"diverged": _diverged, "exploding": _exploding, "reaches": _reaches, "vanishing": _vanishing}
    return tuple(said[evidence.kind](evidence, spec))[:3]


def time_scale(gate_bias: float) -> float:
    """Return the time scale in steps of a gate that opens with this bias: τ = 1 / (1 − σ(b)) = 1 + e^b.

    Source: Tallec and Ollivier, "Can recurrent neural networks warp time?", 2018.
    """
    return 1.0 + math.exp(gate_bias) if gate_bias < 700 else math.inf


def bias_for(distance: int) -> float:
    """Return the gate bias whose time scale is ``distance`` steps (at least 2): b = ln(d − 1)."""
    return math.log(max(distance, 2) - 1)


def _vanishing(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    if e.solved:
        return ["It is solved at this distance: choose a longer gap to see where learning ends."]
    cell = spec.get("cell")
    if cell in _GATES:
        said = [_gate(e, spec)]
    else:
        said = [
            f"Try a GRU or LSTM whose gate starts open: a gate bias of {number(bias_for(e.distance))} keeps a memory "
            f"for about {steps(e.distance)}."
        ]
        if cell == "sigmoid":
            said.append(
                "A sigmoid's slope is at most ¼, so each step back shrinks the gradient unless the weights are large."
            )
        elif cell in ("tanh", "relu", "identity") and spec.get("init") == "torch":
            start = "an identity" if cell == "relu" else "an orthogonal"
            said.append(f"Or start from {start} recurrent matrix, which neither shrinks nor stretches a state.")
    if math.isfinite(e.clipped) and spec.get("clip") != "none":
        said.append("Clipping shortens a gradient that is too long; it cannot bring back one that has faded.")
    return said


def _gate(e: Evidence, spec: Mapping[str, Any]) -> str:
    gate, bias = _GATES[str(spec["cell"])], spec.get("gate_bias")
    if isinstance(bias, int | float) and not isinstance(bias, bool):
        scale = time_scale(float(bias))
        if scale < e.distance:
            return (
                f"The {gate} gate starts with bias {number(float(bias))}, a time scale of {steps(scale)} against "
                f"{e.distance} to bridge: try {number(bias_for(e.distance))}, or chrono."
            )
        return (
            f"The {gate} gate started open long enough ({steps(scale)}), so training closed it or the other gates "
            "shrink the gradient: try a lower learning rate or another seed."
        )
    return f"Try a constant {gate} gate bias of {number(bias_for(e.distance))}, a time scale of {steps(e.distance)}."


def _reaches(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    if e.solved:
        return ["Solved: choose a longer gap, or an unopened gate, to find where it ends."]
    if math.isnan(e.success):
        return []
    if e.state in ("queued", "running"):
        return ["The gradient arrives; give it the remaining steps before changing anything."]
    said = [f"The gradient arrives, so what is missing may be time: try more than {e.steps_done} training steps."]
    if e.clipped >= _OFTEN_CLIPPED:
        said.append(_often_clipped(e))
    said.append(f"Or compare other learning rates{_rate(spec)}.")
    return said


def _exploding(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    said = []
    if spec.get("clip") == "none":
        said.append("Compare it with clipping by norm: that bounds the weights' gradient, not the growth through time.")
    elif e.clipped > 0:
        said.append(
            f"Clipping engaged on {percent(e.clipped)} of the steps: it bounds the weights' gradient, not this growth."
        )
    if spec.get("cell") in _GATES:
        said.append("A lower learning rate or a smaller initialisation keeps the recurrent weights from stretching.")
    else:
        said.append(
            "The recurrent matrix stretches states: try an orthogonal or a smaller one (scaled:0.5), or a gated cell."
        )
    return said


def _diverged(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    if e.diverged_step == 0:
        return [
            "It broke before the first update, so no learning rate and no clipping helps: begin with smaller weights."
        ]
    rate = spec.get("learning_rate")
    lower = f"Try a learning rate of {number(float(rate) / 10)} instead of {number(float(rate))}." if rate else ""
    said = [lower] if lower else []
    if spec.get("clip") == "none":
        said.append("Compare it with clipping by norm, which bounds the gradient that an update is made from.")
    elif math.isfinite(e.clipped):
        said.append(
            f"Clipping ({spec.get('clip')}) engaged on {percent(e.clipped)} of the steps and did not prevent it: "
            "the growth may be in the forward pass, which no clipping touches."
        )
    if spec.get("cell") in ("relu", "identity"):
        said.append(
            "Nothing bounds this cell's state: start from a smaller or an identity matrix, or take a gated cell."
        )
    return said


def _often_clipped(e: Evidence) -> str:
    return (
        f"Clipping engaged on {percent(e.clipped)} of the steps, so most updates are made from a gradient that the "
        "threshold has shortened: compare a higher one, or none."
    )


def _rate(spec: Mapping[str, Any]) -> str:
    rate = spec.get("learning_rate")
    return f" (this one: {number(float(rate))})" if isinstance(rate, int | float) else ""
