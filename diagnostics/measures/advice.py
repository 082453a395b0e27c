"""What to try next, from the run's own numbers and what was asked for. It never promises that a change will help.

For runs of ours, in the Lab's settings; ``watched_advice.py`` speaks to the owner of a model that was watched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from diagnostics.measures.clipping import THRESHOLD_MOST, is_threshold
from diagnostics.measures.evidence import Evidence
from diagnostics.measures.numbers import number, percent, steps

_GATES = {"lstm": "forget", "gru": "update"}
_A = {"forget": "a forget", "update": "an update"}
OFTEN_CLIPPED = 0.5
"""From this share of clipped steps on, most updates are made from a gradient that the threshold has shortened."""


def advice(evidence: Evidence | None, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return up to three short instructions, each beginning with its verb.

    ``spec`` is the run's spec as JSON; what it lacks is not spoken of.
    """
    if evidence is None or evidence.kind is None:
        return ()
    if evidence.kind != "diverged" and (evidence.blind or evidence.model):
        return _another_network(evidence)
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


def against_growth(e: Evidence, clip: Any) -> list[str]:
    """What clipping, by the rule ``clip`` (None or "": not known), has to say to a gradient that grows through time."""
    if clip == "none":
        return [
            f"Compare it with clipping by norm{own_scale(e)}: that bounds the weights' gradient, not the growth "
            "through time."
        ]
    if e.clipped > 0:
        return [
            f"Look beyond clipping: it engaged on {percent(e.clipped)} of the steps and bounds the weights' gradient, "
            "not this growth."
        ]
    return []


def against_breaking(e: Evidence, clip: Any) -> list[str]:
    """Clipping, where a training that diverged had none."""
    if clip != "none":
        return []
    return [
        f"Try clipping by norm{own_scale(e)}: it bounds the gradient that an update is made from, not its growth "
        "through time."
    ]


def in_vain(e: Evidence, clip: Any) -> list[str]:
    """What to look at where a training was clipped and diverged all the same."""
    if clip in (None, "", "none") or not math.isfinite(e.clipped):
        return []
    return [
        f"Look at the forward pass, which no clipping touches: clipping ({clip}) engaged on {percent(e.clipped)} "
        "of the steps and did not prevent this."
    ]


def too_often(e: Evidence) -> list[str]:
    """Where clipping takes most updates' length."""
    if e.clipped < OFTEN_CLIPPED:
        return []
    return [
        f"Compare a higher clipping threshold, or none: clipping engaged on {percent(e.clipped)} of the steps, so "
        "most updates are made from a shortened gradient."
    ]


def _another_network(e: Evidence) -> tuple[str, ...]:
    """Where the kind of network decides, and nothing about its weights."""
    if e.blind:
        return ("Read in two directions: what decides comes after the answer, where one direction has not been yet.",)
    return () if e.solved else ("Compare it with a recurrent network, whose state goes from word to word in order.",)


def _vanishing(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    if e.solved:
        return ["Choose a longer gap to see where learning ends: at this distance it is solved."]
    if e.cut_off:
        return [
            f"Raise truncate from {e.truncate} to {e.distance + 1} or more, or leave it out: so far back the last "
            "chunk has to reach."
        ]
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
                "Compare it with tanh: a sigmoid's slope is at most ¼, so each step back shrinks the gradient unless "
                "the weights are large."
            )
        elif cell in ("tanh", "relu", "identity") and spec.get("init") == "torch":
            start = "an identity" if cell == "relu" else "an orthogonal"
            said.append(f"Start from {start} recurrent matrix, which by itself neither shrinks nor stretches a state.")
    if math.isfinite(e.clipped) and spec.get("clip") != "none":
        said.append("Leave clipping aside: it shortens a gradient that is too long and cannot bring back a faded one.")
    return said


def _gate(e: Evidence, spec: Mapping[str, Any]) -> str:
    gate, bias = _GATES[str(spec["cell"])], spec.get("gate_bias")
    if isinstance(bias, int | float) and not isinstance(bias, bool):
        scale = time_scale(float(bias))
        if scale < e.distance:
            return (
                f"Try a {gate} gate bias of {number(bias_for(e.distance))}, or chrono: it starts with "
                f"{number(float(bias))}, a time scale of {steps(scale)} against {e.distance} to bridge."
            )
        return (
            f"Try a lower learning rate or another seed: the {gate} gate started open long enough ({steps(scale)}), "
            "so training closed it or the other gates shrink the gradient."
        )
    return f"Try a constant {gate} gate bias of {number(bias_for(e.distance))}, a time scale of {steps(e.distance)}."


def _reaches(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    if e.solved:
        gate = _GATES.get(str(spec.get("cell")))
        closed = f", or {_A[gate]} gate that starts closed (a lower gate bias)," if gate else ""
        return [f"Choose a longer gap{closed} to find where it ends: this one is solved."]
    if e.edge:
        return _vanishing(e, spec)
    if math.isnan(e.success):
        return []
    if e.state in ("queued", "running"):
        return ["Give it the remaining steps before changing anything: the gradient arrives."]
    done = f"{e.steps_done} training step{'s' * (e.steps_done != 1)}"
    said = [f"Try more than {done}: the gradient arrives, so what is missing may be time."]
    said += too_often(e)
    said.append(f"Compare other learning rates{_rate(spec)}.")
    return said


def _exploding(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    said = against_growth(e, spec.get("clip"))
    if spec.get("cell") in _GATES:
        said.append("Try a lower learning rate or a smaller initialisation, so that no recurrent weight stretches.")
    else:
        said.append(
            "Try an orthogonal or a smaller recurrent matrix (scaled:0.5), or a gated cell: this one stretches."
        )
    return said


def _diverged(e: Evidence, spec: Mapping[str, Any]) -> list[str]:
    if e.diverged_step == 0:
        return [
            "Begin with smaller weights: it broke before the first update, where neither learning rate nor clipping "
            "has any say."
        ]
    rate, clip = spec.get("learning_rate"), spec.get("clip")
    said = against_breaking(e, clip)
    if rate:
        said.append(f"Try a learning rate of {number(float(rate) / 10)} instead of {number(float(rate))}.")
    said += in_vain(e, clip)
    if spec.get("cell") in ("relu", "identity"):
        said.append("Start from a smaller recurrent matrix, or take a gated cell: nothing bounds this cell's state.")
    return said


def own_scale(e: Evidence) -> str:
    """Return the words that name a threshold of the run's own scale, "" where it has none."""
    if e.typical_norm > THRESHOLD_MOST:
        return f" at {number(THRESHOLD_MOST)}, the highest threshold there is, or lower"
    if not is_threshold(e.typical_norm):  # nor nan
        return ""
    return f" at {number(e.typical_norm)} (this run's median norm) or lower"


def _rate(spec: Mapping[str, Any]) -> str:
    rate = spec.get("learning_rate")
    return f" (this one: {number(float(rate))})" if isinstance(rate, int | float) else ""
