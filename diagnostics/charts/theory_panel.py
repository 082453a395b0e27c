"""What one panel of ``theory`` says of an inspection, or of several that differ only in their seed."""

from __future__ import annotations

import math

import numpy as np

from diagnostics.charts.inspected import informative_word
from diagnostics.charts.inspected_seeds import Seeds
from diagnostics.charts.labels import safe, short
from diagnostics.charts.series import ratios
from diagnostics.charts.theory_lines import Line, Panel
from diagnostics.inspection import Inspection
from diagnostics.measures.numbers import rate
from diagnostics.measures.profile import middle
from diagnostics.measures.seed_verdict import span
from diagnostics.measures.seeds import common, common_of_logs, spread
from diagnostics.measures.theory import power_line
from diagnostics.records import Array


def panel_of(bundle: Seeds, layer: int) -> Panel:
    """Return the measured profile and every line that theory has for this cell, medians where there are several seeds.

    A seed without a finite gradient above 0 at the loss cannot be given as ratios: it is left out where others can.
    """
    everyone = [(one, _gradient(one, layer)) for _, one in bundle.members]
    comparable = [(one, gradient) for one, gradient in everyone if np.isfinite(gradient[0]) and gradient[0] > 0]
    kept = comparable or everyone[:1]
    over = common([_ratio(gradient) for _, gradient in kept])
    ones = [one for one, _ in kept]
    label = safe(short(bundle.name))
    left_out = len(everyone) - len(kept)
    word = informative_word(bundle.first)
    distance = bundle.first.loss_step - word[1] if word else -1
    return Panel(
        label=label,
        measured=over.median,
        gradient=common([gradient for _, gradient in kept]).median,
        lines=tuple(_lines(ones, layer)),
        sentence=" ".join(filter(None, (_about_the_bound(ones, layer), _about_the_layer(ones[0], layer)))),
        word=word[0] if word and distance >= 0 else "",
        distance=max(distance, -1),
        over=over if bundle.several else None,
        left_out=f"{label}: {left_out} of {len(everyone)} left out, with no finite gradient at the loss"
        if left_out
        else "",
    )


def _gradient(one: Inspection, layer: int) -> Array:
    return middle(one["state_grad"][layer, one.loss_step :: -1].T)  # [K + 1] by lag


def _ratio(gradient: Array) -> Array:
    # An exact zero is one whatever it is compared with.
    return np.where(gradient == 0, 0.0, ratios(gradient, gradient[0]))


def _lines(ones: list[Inspection], layer: int) -> list[Line]:
    """Return a line for every factor that all of the inspections have; nan is none."""
    lags = np.arange(ones[0].loss_step + 1)
    factors = [_factors(one, layer) for one in ones]
    lines = []
    for key, (words, _) in factors[0].items():
        found = [known[key][1] for known in factors if key in known]
        if len(found) < len(ones) or any(map(math.isnan, found)):
            continue
        over, logs = spread(found), [power_line(factor, lags) for factor in found]
        lines.append(Line(key, words, over.median, common_of_logs(logs).median, over))
    return lines


def _factors(one: Inspection, layer: int) -> dict[str, tuple[str, float]]:
    """Return (name, factor per step) of every line that theory has for this cell, by key; nan where it is not there."""

    def of(name: str) -> float:
        return float(one[name][layer]) if name in one else math.nan

    found = {"bound": ("bound (γσ<sub>max</sub>)<sup>k</sup>", of("gamma") * of("sigma_max"))}
    if one.kind == "rnn":
        found["radius"] = ("spectral radius ρ<sup>k</sup>", of("spectral_radius"))
    found["decay"] = ("fitted decay β<sup>k</sup>", of("decay"))
    if "lyapunov" in one:
        with np.errstate(over="ignore"):
            found["lyapunov"] = ("Lyapunov e<sup>λ₁k</sup>", float(np.exp(one["lyapunov"][layer, 0])))
    return found


def _about_the_bound(ones: list[Inspection], layer: int) -> str:
    first = ones[0]
    if first.kind != "rnn":
        gate = "z (of h)" if first.kind == "gru" else "f (of c)"
        return (
            f"No bound of the form (γσ<sub>max</sub>)<sup>k</sup> holds for gates: {gate} passes part of the state on "
            "beside W<sub>hh</sub>."
        )
    if any("gamma" not in one or "sigma_max" not in one for one in ones):
        return ""
    factors = [float(one["gamma"][layer] * one["sigma_max"][layer]) for one in ones]
    lost = sum(map(math.isnan, factors))
    if lost:
        where = f" in {lost} of {len(ones)} seeds" if len(ones) > 1 else ""
        return f"W<sub>hh</sub> holds numbers that are not finite{where}: no bound."
    said = f"γσ<sub>max</sub> = {span(spread(factors), rate)}"
    below = sum(factor < 1 for factor in factors)
    if below == len(factors):
        return f"{said} is below 1: the gradient must vanish, whatever the input."
    if below:
        return f"{said} is below 1 in {below} of {len(ones)} seeds, where the gradient must vanish, whatever the input."
    return f"{said} is not below 1: the bound forbids neither vanishing nor exploding."


def _about_the_layer(one: Inspection, layer: int) -> str:
    """Say what no line here counts: below the top, gradient comes back through the layers above as well."""
    if layer == one.layers - 1:
        return ""
    return "Below the top layer, gradient also comes back through the layers above, which no line here counts."
