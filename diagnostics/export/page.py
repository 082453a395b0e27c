"""The shell of an offline HTML page: style, plotly.js inside, and a policy that lets nothing else run or load."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape as _escape

from plotly.offline import get_plotlyjs

from diagnostics.export.figures import script_safe


def escape(text: object) -> str:
    """Text as HTML text or as the value of a quoted attribute; what UTF-8 cannot say becomes U+FFFD."""
    return _escape(str(text).encode("utf-8", "replace").decode("utf-8").replace("\0", "�"), quote=True)


def document(title: str, body: str, figures: Mapping[str, str]) -> str:
    """A whole page that works offline.

    ``body`` is HTML in which ``<div class="plot" data-figure="KEY">`` stands where a figure goes; ``figures`` maps
    each KEY to the figure's JSON. Scripts are allowed by their hashes alone, so that even markup that slipped into
    ``body`` could not run or fetch anything.
    """
    scripts = [get_plotlyjs(), _DRAW] if figures else []
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts) or "'none'"
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    data = "\n".join(
        f'<script type="application/json" id="figure-{escape(key)}">{script_safe(text)}</script>'
        for key, text in figures.items()
    )
    code = "\n".join(f"<script>{script}</script>" for script in scripts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n{data}\n{code}\n</body>\n</html>\n"
    )


def plot(key: str, name: str, height_px: int) -> str:
    """The place of the figure ``key`` in a body; ``name`` is what a screen reader says."""
    return (
        f'<div class="plot" data-figure="{escape(key)}" role="group" aria-label="{escape(name)}" '
        f'style="height:{height_px}px"></div>'
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


# No link to a service that would take the figure away; a second button beside the camera, for SVG.
_DRAW = """
const svg = {name: "Download as SVG", icon: Plotly.Icons.disk, click: (plot) => Plotly.downloadImage(plot, {
  format: "svg", filename: plot.dataset.figure, width: plot.clientWidth, height: plot.clientHeight})};
const plots = [...document.querySelectorAll("[data-figure]")];
for (const plot of plots) {
  const figure = JSON.parse(document.getElementById("figure-" + plot.dataset.figure).textContent);
  delete figure.layout.width;
  delete figure.layout.height;
  Plotly.newPlot(plot, figure.data, {...figure.layout, autosize: true}, {
    responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToAdd: [svg],
    toImageButtonOptions: {format: "png", scale: 2, filename: plot.dataset.figure}});
}
for (const event of ["beforeprint", "afterprint"]) {
  addEventListener(event, () => plots.forEach((plot) => Plotly.Plots.resize(plot)));
}
"""

_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --text: #1c2430; --quiet: #556070;
  --line: #d9dee5; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12161c; --card: #1b212a; --text: #e8ecf1; --quiet: #a3afbd; --line: #344050; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 70rem; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1.05rem; margin: 0 0 .25rem; }
p { margin: .35rem 0; max-width: 48rem; }
.quiet { color: var(--quiet); font-size: .92rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem 1.25rem;
  margin: 0 0 1rem; break-inside: avoid; }
.plot { width: 100%; background: #ffffff; border-radius: .25rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-weight: 600; }
td { font-variant-numeric: tabular-nums; }
ul { margin: .35rem 0; padding-left: 1.25rem; }
@media print {
  :root { --page: #ffffff; --card: #ffffff; --text: #000000; --quiet: #444444; --line: #bbbbbb; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  .card { border: 0; padding: 0; margin-bottom: 1.5rem; }
  .modebar { display: none !important; }
  h2 { break-after: avoid; }
}
"""
