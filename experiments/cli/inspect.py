"""``inspect``: look inside a stored run at one of the training steps whose weights it kept."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from diagnostics.export.inspected import document
from diagnostics.inspection import GATE_TITLES, SECTIONS, Inspection, which_gradient
from diagnostics.measures.profile import middle
from diagnostics.records import Array
from diagnostics.store import RunRow, Store
from experiments.cli.words import find, open_store, plain, print_json, share, table
from experiments.inspection.asked import Asked
from experiments.inspection.limits import cannot_stored
from experiments.inspection.request import nothing_kept
from experiments.spec import Refusal, RunSpec

LARGE = ("h", "c", "gates")
"""Printed as JSON only where their section is named: at H = 256 and T = 1,000 they are millions of numbers."""

_UNKNOWN = "not known: what it is worked out from is not finite, or exactly 0"
"""Instead of nan."""

_BAR = "{desc} {percentage:3.0f} %|{bar}| {elapsed}"


def inspect_command(asked: argparse.Namespace) -> int:
    """Compute here, with a progress bar, and print what was found."""
    named = tuple(asked.sections or ())
    request = Asked(asked.samples, tuple(name for part in named for name in part.split(",") if name) or tuple(SECTIONS))
    store = open_store(asked)
    row = find(store, asked.run)
    if why := cannot_stored(row.spec):
        raise Refusal(f"{why}.")
    step = _step(store, row, asked.step)
    spec, weights, ratios = RunSpec.from_json(row.spec), store.weights(row.id, step), store.update_ratios(row.id, step)
    from experiments.inspection.compute import inspect  # with torch, which no other command waits for

    with _Watch() as watch:
        found = inspect(row.id, spec, step, weights, request, watch, ratios)
    if asked.json:
        print_json(
            document(found, leave_out=() if named else LARGE) | ({"seconds": watch.seconds} if asked.timings else {})
        )
        return 0
    print("\n".join(_summary(found, row)))
    if asked.timings:
        print("\nseconds")
        print(table(("section", "seconds"), [(name, round(took, 3)) for name, took in watch.seconds.items()]))
    return 0


def _step(store: Store, row: RunRow, wanted: int | None) -> int:
    """The step to look at: the one that was asked for, else the last that was kept."""
    kept = store.weights_steps(row.id)
    if not kept or (wanted is not None and wanted not in kept):
        raise Refusal(f"{nothing_kept(store, row.id, -1 if wanted is None else wanted, kept)}.")
    return kept[-1] if wanted is None else wanted


class _Watch:
    """Shows how far the computation is, on a terminal, and takes the time of each section."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._bar: Any = None
        self._section = ""
        self._since_s = time.perf_counter()

    def __enter__(self) -> _Watch:
        if sys.stderr.isatty():
            self._bar = tqdm(total=1.0, bar_format=_BAR, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, done: float, section: str) -> None:
        now_s = time.perf_counter()
        if self._section:
            self.seconds[self._section] = self.seconds.get(self._section, 0.0) + now_s - self._since_s
        self._section, self._since_s = section, now_s
        if self._bar is not None:
            self._bar.set_description_str(f"{section:16}", refresh=False)
            self._bar.n = done
            self._bar.refresh()


def _summary(found: Inspection, row: RunRow) -> Iterator[str]:
    probe = f"{found.samples} held-out sample{'s' * (found.samples > 1)} of {found.timesteps} timesteps"
    yield f"{row.id}  {plain(row.name)}"
    yield f"after {found.step} of {row.steps} updates, a probe of {probe}; nothing is clipped"
    if said := which_gradient([(row.name, found)]):
        yield plain(said)
    for layer in range(found.layers):
        lines = list(_of_layer(found, layer))
        if lines:
            yield ""
            if found.layers > 1:
                yield f"layer {layer + 1} of {found.layers}"
            width = max(len(name) for name, _ in lines)
            yield from (f"{name:{width}}  {value}" for name, value in lines)
    for header, rows in _tables(found):
        yield ""
        yield table(header, rows)


def _of_layer(found: Inspection, layer: int) -> Iterator[tuple[str, str]]:
    for name, said in (("saturated", "saturated units"), ("dead", "dead units")):
        if name in found:
            values = found[name][layer]
            yield said, f"{share(float(values.mean()))} on average, {share(float(values.max()))} at most"
    if "never_on" in found:
        yield "units never on", share(float(found["never_on"][layer]))
    if "state_grad" in found:
        yield "state gradient", _profile(found, layer)
    if "lag_profile" in found and found["answer_steps"].size > 1 and not np.isnan(found["lag_profile"][layer]).all():
        yield "itemised gradient", _by_lag(found, layer)
    if "sigma_max" in found:
        sigma, gamma = found["sigma_max"][layer], found["gamma"][layer]
        known = f"{_g(sigma)}, spectral radius {_g(found['spectral_radius'][layer])}"
        yield "σ_max(W_hh)", _UNKNOWN if math.isnan(sigma) else known
        bound = _UNKNOWN if math.isnan(sigma) else f"{_g(gamma * sigma)} per step"
        yield "bound γ σ_max", "none of this form for gated cells" if math.isnan(gamma) else bound
        decay = found["decay"][layer]
        yield "measured decay", _UNKNOWN if math.isnan(decay) else f"{_g(decay)} per step"
    if "lyapunov" in found and math.isnan(found["lyapunov"][layer, 0]):
        yield "Lyapunov", _UNKNOWN
    elif "lyapunov" in found:
        values, errors = found["lyapunov"][layer], found["lyapunov_error"][layer]
        yield (
            "Lyapunov",
            f"largest {_g(values[0])} per step (natural log), so a factor of {_g(np.exp(values[0]))}; standard error "
            f"{_g(errors[0])}, over stretches of time, samples and random starts",
        )
    if "singular_values" in found:
        largest, smallest = middle(found["singular_values"][layer][:, [0, -1]])
        known = f"singular values from {_g(largest)} to {_g(smallest)}, median over the timesteps"
        yield "one-step Jacobian", _UNKNOWN if math.isnan(largest) else known
        if found["product_lags"].size:
            lag, exponent = found["product_lags"][-1], found["product_singular_values"][layer, -1, 0]
            yield (
                f"product of {lag}",
                _UNKNOWN if math.isnan(exponent) else f"largest singular value {_power(exponent)}",
            )
    if "cancellation" in found:
        yield from _weight_gradient(found, layer)


def _weight_gradient(found: Inspection, layer: int) -> Iterator[tuple[str, str]]:
    whole, cancellation = found["weight_grad"][layer, :, -1], found["cancellation"][layer, -1]
    if math.isnan(cancellation):
        yield "weight gradient", _UNKNOWN
    else:
        at = int(np.argmax(np.where(np.isfinite(whole), whole, -np.inf)))
        yield "weight gradient", f"most from timestep {at}, cancellation {_g(cancellation)}"
    error = found["bptt_sum_error"][layer]
    yield "sum over timesteps", _UNKNOWN if math.isnan(error) else f"differs from autograd's by {_g(error)}"
    noise = found["noise"][layer]
    if found.samples == 1:
        said = "not known: it takes at least two samples"
    elif np.isnan(noise).all():
        said = _UNKNOWN
    elif not np.isfinite(noise).any():
        said = "infinite: all samples have the same gradient"
    else:
        said = f"{_g(_middle_finite(noise))}, median over the timesteps"
    yield "signal to noise", said


def _by_lag(found: Inspection, layer: int) -> str:
    by_lag = found["lag_profile"][layer]
    farthest = int(np.flatnonzero(~np.isnan(by_lag))[-1])
    return f"{_g(by_lag[0])} at an answer's own step, {_g(by_lag[farthest])} {farthest} steps before it"


def _profile(found: Inspection, layer: int) -> str:
    profile = middle(found["state_grad"][layer].T)
    at_loss, at_cue = profile[found.loss_step], profile[min(steps[0] for steps in found.informative_steps if steps)]
    if math.isnan(at_loss) or math.isnan(at_cue):
        return _UNKNOWN
    ratio = f": a ratio of {_g(at_cue / at_loss)}" if at_loss else ""
    return f"{_g(at_loss)} at the loss, {_g(at_cue)} at the first informative step{ratio}"


def _tables(found: Inspection) -> Iterator[tuple[tuple[str, ...], list[tuple[object, ...]]]]:
    if "cancellation" in found and found.kind != "rnn":
        rows: list[tuple[object, ...]] = [
            (GATE_TITLES[gate], layer + 1, _g(found["cancellation"][layer, place]))
            for layer in range(found.layers)
            for place, gate in enumerate(found.gate_names)
        ]
        yield ("gate", "layer", "cancellation"), rows
    if "chunk" in found:
        rows = [
            (int(chunk), _g(cosine), _g(error))
            for chunk, cosine, error in zip(
                found["chunk"], found["truncation_cosine"], found["truncation_error"], strict=True
            )
        ]
        yield ("truncated at", "cosine", "relative error"), rows
    if "parameter_names" in found:
        names = ("parameter_norm", "parameter_grad_norm", "update_ratio", "grad_zero", "grad_nan", "grad_inf")
        columns = [[_g(value) for value in found[name].tolist()] for name in names]
        yield (
            ("parameter", "norm", "gradient", "update ratio", "zero", "nan", "inf"),
            list(zip(found["parameter_names"].tolist(), *columns, strict=True)),
        )


def _middle_finite(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan


def _power(exponent: float) -> str:
    """Ten to the power of ``exponent``, which may be −∞."""
    return f"10^{exponent:.2f}" if math.isfinite(exponent) else "0" if exponent < 0 else "infinite"


def _g(value: float) -> str:
    return f"{value:.4g}"
