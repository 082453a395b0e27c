"""The part of a report that looks inside its runs: the figures of their inspections, training step by training step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from diagnostics.charts.inspected_seeds import any_together
from diagnostics.charts.inspection_gallery import INSPECTION_FIGURES
from diagnostics.export.gallery import Drawing
from diagnostics.export.inside import Looked, after, looked
from diagnostics.export.page import escape, plot
from diagnostics.inspection import Inspection, which_gradient
from diagnostics.records import Run

INSPECTIONS_AT_MOST = 12
"""So many take about ten seconds to draw."""
BYTES_AT_MOST = 20 * 2**20
"""What their figures may add to a report, light and dark together. A usual inspection (H = 64, T = 50) takes 0.2 to 0.5
MB; one of an LSTM with H = 256 and T = 1,000 takes 8 MB, nearly all of it the map of its states."""


TOGETHER = (
    "Lines are medians over the seeds, in bands from the lowest to the highest; a figure of one network says whose "
    "it is."
)


class Inside:
    """The section's HTML and its figures, each by its key in light and dark; all empty where there is no inspection."""

    def __init__(self, runs: Sequence[Run], inspections: Sequence[Inspection], over_seeds: bool | None = None) -> None:
        self.light: dict[str, str] = {}
        self.dark: dict[str, str] = {}
        self.html: list[str] = []
        self._bytes = 0
        left_out: list[str] = []
        drawn = 0
        for one in looked(runs, inspections, over_seeds):
            if drawn >= INSPECTIONS_AT_MOST:
                left_out.append(f"all of {_whose(one)} {after(one.step)}")
                continue
            drawn += len(one.bundles)
            self.html += [*_about(one), *self._figures(one, left_out)]
        if self.html:
            self.html.insert(0, "<h2>Inside the networks</h2>")
        if left_out:
            said = escape("; ".join(left_out))
            self.html.append(f'<p class="quiet">Left out, so that this page stays small: {said}. Inspect shows it.</p>')

    def _figures(self, one: Looked, left_out: list[str]) -> Iterator[str]:
        for light, dark in zip(one.drawings("light"), one.drawings("dark"), strict=True):
            size = len(light.json) + len(dark.json)
            if self._bytes + size > BYTES_AT_MOST:
                left_out.append(f"“{light.title}”")
                continue
            self._bytes += size
            self.light[light.key], self.dark[dark.key] = light.json, dark.json
            yield _figure(light)


def _whose(one: Looked) -> str:
    return ", ".join(bundle.name for bundle in one.bundles)


def _about(one: Looked) -> Iterator[str]:
    """When and at whom the figures below look, and through what."""
    yield f"<h3>{escape(f'{_whose(one)}, {after(one.step)}')}</h3>"
    probes = sorted({(inspection.samples, inspection.timesteps) for _, inspection in one.named})
    probe = " or ".join(f"{B} held-out sample{'s' * (B > 1)} of {T} timesteps" for B, T in probes)
    said = [f"Through {probe}, in float64; nothing is clipped. Of states and gates, the first sample."]
    said += filter(None, [which_gradient([(bundle.name, bundle.first) for bundle in one.bundles])])
    if any_together(one.bundles):
        said.append(TOGETHER)
    if one.missing:
        said.append(f"Not computed: {', '.join(name.replace('_', ' ') for name in one.missing)}.")
    yield f'<p class="quiet">{escape(" ".join(said))}</p>'


def _figure(drawing: Drawing) -> str:
    """A figure under a heading that says whose and when, which the figure of one run does not; its title it does."""
    title = INSPECTION_FIGURES[drawing.figure_key].title
    whose = drawing.title.removeprefix(title).lstrip(" —,")
    return (
        f'<figure class="card"><h4><span class="unseen">{escape(title)}: </span>{escape(whose)}</h4>'
        f"{plot(drawing.key, drawing.name, drawing.height_px)}"
        f'<figcaption class="quiet"><strong>How to read this.</strong> {escape(drawing.how_to_read)}</figcaption>'
        "</figure>"
    )
