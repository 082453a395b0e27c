"""Computing an inspection: the network of a run as it was at a training step, a probe, and the measures of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from diagnostics.inspection import QUANTITIES, Inspection
from diagnostics.measures import itemised, jacobian, lyapunov, parameters, products, theory, truncation, weight_gradient
from diagnostics.measures.dead import dead, never_on
from diagnostics.measures.decay import decay
from diagnostics.measures.noise import signal_to_noise
from diagnostics.measures.norms import sample_norms
from diagnostics.measures.profile import middle
from diagnostics.measures.saturation import saturated
from diagnostics.records import Array
from experiments.inspection.asked import Asked
from experiments.inspection.cost import predict, unaffordable
from experiments.inspection.limits import cannot
from experiments.inspection.memory import measured_memory
from experiments.inspection.probe import Probe
from experiments.spec import Refusal, RunSpec

Progress = Callable[[float, str], None]
"""Takes the share of the whole that is done, 0 to 1, and the section that is being computed; may end it by raising."""

Step = Callable[[float], None]
"""Takes the share of a section that is done, 0 to 1."""

Arrays = dict[str, Array]


def inspect(
    run_id: str,
    spec: RunSpec,
    step: int,
    weights: Mapping[str, Array],
    asked: Asked,
    progress: Progress,
    update_ratio: Mapping[str, float] | None = None,
) -> Inspection:
    """Compute what is ``asked`` of the run ``spec`` as it was after ``step`` updates, with the ``weights`` of then;
    ``update_ratio`` by parameter is what training recorded of its last update.

    Quantities that do not apply to the network are left out. Raises ``Refusal`` where it is of a kind that cannot be
    looked into (see ``limits``), the weights do not fit the spec or the memory is not enough, and whatever
    ``progress`` raises.
    """
    if said := cannot(spec) or unaffordable(spec, asked):
        raise Refusal(said)
    progress(0.0, asked.sections[0])
    torch.set_num_threads(1)
    probe = Probe(spec, weights, asked.samples, update_ratio or {})
    arrays: Arrays = {}
    cost = predict(spec, asked)
    done = 0.0
    for name, part in cost.parts.items():

        def heard(share: float, name: str = name, done: float = done, part: float = part) -> None:
            progress((done + part * share) / cost.seconds, name)

        heard(0.0)
        with np.errstate(all="ignore"):  # a network that has blown up is worth a look: nan and infinity are data
            found = _SECTIONS[name](probe, heard)
        arrays |= {key: _as_recorded(key, values) for key, values in found.items()}
        done += part
    progress(1.0, "")
    readable = [probe.task.readable(probe.batch, index)[0] for index in range(asked.samples)]
    return Inspection(
        run_id=run_id,
        step=step,
        cell=spec.cell,
        kind=probe.cell.kind,
        nonlinearity=spec.cell if probe.cell.kind == "rnn" else "",
        layers=spec.layers,
        tokens=tuple(readable),
        informative_steps=tuple(tuple(map(int, steps)) for steps in probe.batch.informative_steps),
        loss_step=probe.loss_step,
        arrays=arrays,
        truncate=spec.truncate if spec.truncate and spec.truncate < probe.task.length else 0,
    )


def _as_recorded(name: str, values: Array) -> Array:
    dtype = QUANTITIES[name].dtype
    array = np.asarray(values)
    if dtype == "U":
        return array.astype(str)
    with np.errstate(over="ignore"):  # a state beyond float32 was infinite in training too
        return np.ascontiguousarray(array, dtype)


def _states(probe: Probe, step: Step) -> Arrays:
    found = {"h": probe.h, "saturated": np.stack([saturated(trace, probe.cell.name) for trace in probe.traces])}
    if probe.c is not None:
        found["c"] = probe.c
    if probe.gates is not None:
        found["gates"] = probe.gates
    if probe.cell.name == "relu":
        found["dead"] = np.stack([dead(h) for h in probe.h])
        found["never_on"] = np.array([never_on(h) for h in probe.h])
    return found


def _profile(probe: Probe, step: Step) -> Arrays:
    return {"state_grad": state_gradient(probe)}


def state_gradient(probe: Probe) -> Array:
    """The norm of the state gradient of the last answer's loss per sample [L,T,B]; the batch mean is undone."""
    found = probe.last_answer
    norms = np.stack([_norms(values) for values in found.grad_h])
    if found.grad_c is not None:
        norms = np.hypot(norms, np.stack([_norms(values) for values in found.grad_c]))
    of_one: Array = norms * norms.shape[2]
    return of_one


def _norms(values: Array) -> Array:
    norms: Array = sample_norms(torch.from_numpy(values))
    return norms


def _theory(probe: Probe, step: Step) -> Arrays:
    recurrent = [probe.w_hh(layer) for layer in range(probe.spec.layers)]
    backwards = state_gradient(probe)[:, probe.loss_step :: -1]
    return {
        "sigma_max": np.array([theory.sigma_max(w_hh) for w_hh in recurrent]),
        "spectral_radius": np.array([theory.spectral_radius(w_hh) for w_hh in recurrent]),
        "gamma": np.full(len(recurrent), theory.gamma(probe.cell.name)),
        "eigenvalues": np.stack([theory.eigenvalues(w_hh) for w_hh in recurrent]),
        "decay": np.array([decay(_median(by_lag, axis=1)).factor for by_lag in backwards]),
    }


def _jacobians(probe: Probe, step: Step) -> Arrays:
    at = jacobian.inspected_steps(probe.task.length)
    lags = products.product_lags(probe.loss_step)
    values, of_products = [], []
    for layer, path in enumerate(_trajectories(probe)):

        def first(share: float, layer: int = layer) -> None:
            step((layer + _ONE_STEP * share) / probe.spec.layers)

        def then(share: float, layer: int = layer) -> None:
            step((layer + _ONE_STEP + (1 - _ONE_STEP) * share) / probe.spec.layers)

        values.append(_median(jacobian.singular_values(path, at, first), axis=1))
        found = products.product_singular_values(path, probe.loss_step, lags, then)
        of_products.append(_median(found, axis=1))
    return {
        "jacobian_steps": at,
        "singular_values": np.stack(values),
        "product_lags": lags,
        "product_singular_values": np.stack(of_products),
    }


_ONE_STEP = 0.2
"""The part of the time of the section that the Jacobians of single steps take beside their products."""


def _lyapunov(probe: Probe, step: Step) -> Arrays:
    found = []
    for layer, path in enumerate(_trajectories(probe)):

        def heard(share: float, layer: int = layer) -> None:
            step((layer + share) / probe.spec.layers)

        found.append(lyapunov.lyapunov(path, last=probe.loss_step, progress=heard))
    return {
        "lyapunov": np.stack([spectrum.exponents for spectrum in found]),
        "lyapunov_error": np.stack([spectrum.error for spectrum in found]),
    }


def _weight_gradient(probe: Probe, step: Step) -> Arrays:
    found: dict[str, list[Array]] = {}
    layers = probe.spec.layers
    for layer in range(layers):
        gates = None if probe.gates is None else probe.gates[layer]
        delta = weight_gradient.recurrent_delta(probe.cell.kind, probe.whole.grad_preactivation[layer], gates)
        states = weight_gradient.before(probe.h[layer])
        norms = weight_gradient.share_norms(delta, states)
        step((layer + 0.5) / layers)
        summed = weight_gradient.share_sum(delta, states)
        for name, values in (
            ("weight_grad", norms),
            ("cancellation", weight_gradient.cancellation(norms, summed)),
            ("noise", signal_to_noise(delta, states)),
            ("bptt_sum_error", np.asarray(weight_gradient.sum_error(summed, probe.grad_w_hh(layer)))),
        ):
            found.setdefault(name, []).append(values)
        step((layer + 1) / layers)
    return {name: np.stack(values) for name, values in found.items()}


def _itemised(probe: Probe, step: Step) -> Arrays:
    at = np.array([probe.loss_step])  # many-to-one has one answer, and so one row: the profile itself
    if probe.many:
        at = itemised.itemised_steps(probe.task.length, probe.task.answer_steps)
    inputs = [probe.w_ih(layer) for layer in range(probe.spec.layers)]
    found = itemised.itemised(_trajectories(probe), inputs, probe.direct(at), at, step)
    matrix = _median(found, axis=3)
    return {"answer_steps": at, "itemised": matrix, "lag_profile": itemised.lag_profile(matrix, at)}


def _truncation(probe: Probe, step: Step) -> Arrays:
    full = np.concatenate([values.ravel() for values in probe.gradients.values()])
    lengths = truncation.chunk_lengths(probe.task.length)
    cosines, errors = np.empty(len(lengths)), np.empty(len(lengths))
    for i, length in enumerate(lengths.tolist()):
        found = probe.truncated_gradient(length)
        cosines[i], errors[i] = truncation.cosine(found, full), truncation.relative_error(found, full)
        step(0.7 * (i + 1) / len(lengths))
    memory = measured_memory(probe.spec, probe.task, lambda share: step(0.7 + 0.3 * share))
    return {
        "chunk": lengths,
        "truncation_cosine": cosines,
        "truncation_error": errors,
        "memory_steps": memory.steps,
        "memory_full": memory.full,
        "memory_truncated": memory.truncated,
        "memory_batch": np.full(len(memory.steps), memory.batch),
        "memory_chunk": np.full(len(memory.steps), memory.chunk),
    }


def _parameters(probe: Probe, step: Step) -> Arrays:
    weights, gradients = probe.parameters, probe.gradients
    counted = parameters.histogram(list(gradients.values()))
    return {
        "parameter_names": np.array(list(weights)),
        "parameter_norm": np.array([parameters.norm(values) for values in weights.values()]),
        "parameter_grad_norm": np.array([parameters.norm(values) for values in gradients.values()]),
        "update_ratio": np.array([probe.update_ratio.get(name, np.nan) for name in weights]),
        "grad_histogram": counted.counts,
        "bin_edges_log10": counted.edges,
        "grad_nan": counted.nans,
        "grad_inf": counted.infs,
        "grad_zero": counted.zeros,
    }


def _trajectories(probe: Probe) -> list[jacobian.Trajectory]:
    """The way of each layer through its states."""
    H = probe.spec.hidden
    return [
        jacobian.Trajectory(
            probe.cell.name,
            probe.w_hh(layer),
            probe.h[layer],
            c=None if probe.c is None else probe.c[layer],
            gates=None if probe.gates is None else probe.gates[layer],
            b_hn=probe.b_hh(layer)[2 * H :] if probe.cell.kind == "gru" else None,
        )
        for layer in range(probe.spec.layers)
    ]


def _median(values: Array, axis: int) -> Array:
    """The median along an axis, in which infinities are ordinary values and nan makes nan."""
    return middle(np.moveaxis(values, axis, 0))


_SECTIONS: Mapping[str, Callable[[Probe, Step], Arrays]] = {
    "states": _states,
    "profile": _profile,
    "theory": _theory,
    "jacobians": _jacobians,
    "lyapunov": _lyapunov,
    "weight_gradient": _weight_gradient,
    "itemised": _itemised,
    "truncation": _truncation,
    "parameters": _parameters,
}
"""How each section is computed."""
