"""The one colour scale of gradient ÷ gradient at the loss, with its bar and labelled ends."""

from __future__ import annotations

from diagnostics.charts.frame import Frame
from diagnostics.charts.palette import CAPPED_HIGH, CAPPED_LOW, gradient_scale
from diagnostics.measures.numbers import power_of_ten


def colour_axis(look: Frame) -> dict[str, object]:
    """Return the colour axis of log10 ratios: a bar along the bottom, the same in every figure and every run."""
    ticks = list(range(CAPPED_LOW, CAPPED_HIGH + 1))
    labels = [power_of_ten(tick) for tick in ticks]
    labels[0], labels[-1] = f"≤ {labels[0]}", f"≥ {labels[-1]}"
    # Larger text has less room between two powers of ten.
    labels[ticks.index(0)] = "1 (as at the loss)" if look.size.scale == 1 else "1 (loss)"
    return {
        "colorscale": gradient_scale(),
        "cmin": CAPPED_LOW,
        "cmax": CAPPED_HIGH,
        "colorbar": {
            "orientation": "h",
            "thickness": look.px(12),
            "len": 0.9,
            "x": 0.5,
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "ypad": look.px(8),
            "tickvals": ticks,
            "ticktext": labels,
            "tickangle": 0,
            "tickfont": {"size": look.size.small, "color": look.theme.text},
            "ticks": "outside",
            "outlinewidth": 0,
        },
    }
