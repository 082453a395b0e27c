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


def document(title: str, body: str, figures: Mapping[str, str], dark: Mapping[str, str] | None = None) -> str:
    """A whole page that works offline.

    ``body`` is HTML in which :func:`plot` stands where a figure goes; ``figures`` maps each key to the figure's JSON,
    and ``dark`` to the JSON for readers who prefer dark pages (none: the light one serves both; paper is always light).
    Scripts are allowed by their hashes alone, so that even markup that slipped into ``body`` could not run or fetch
    anything.
    """
    scripts = [get_plotlyjs(), _DRAW] if figures else []
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts) or "'none'"
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    data = "\n".join(
        f'<script type="application/json" id="{theme}-{escape(key)}">{script_safe(text)}</script>'
        for theme, texts in (("light", figures), ("dark", dark or {}))
        for key, text in texts.items()
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
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(name)}">'
        f'<div class="plot" data-figure="{escape(key)}" style="height:{height_px}px"></div></div>'
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


# No link to a service that would take the figure away; a second button beside the camera, for SVG.
_DRAW = """
const svg = {name: "Download as SVG", icon: Plotly.Icons.disk, click: (plot) => Plotly.downloadImage(plot, {
  format: "svg", filename: plot.dataset.figure, width: plot.clientWidth, height: plot.clientHeight})};
const plots = [...document.querySelectorAll("[data-figure]")];
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
function draw(dark) {
  for (const plot of plots) {
    const stored = (theme) => document.getElementById(theme + "-" + plot.dataset.figure);
    const figure = JSON.parse(((dark && stored("dark")) || stored("light")).textContent);
    delete figure.layout.width;
    Plotly.react(plot, figure.data, {...figure.layout, autosize: true}, {
      responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToAdd: [svg],
      toImageButtonOptions: {format: "png", scale: 2, filename: plot.dataset.figure}});
  }
}
draw(prefersDark.matches);
prefersDark.addEventListener("change", () => draw(prefersDark.matches));
addEventListener("beforeprint", () => { draw(false); plots.forEach((plot) => Plotly.Plots.resize(plot)); });
addEventListener("afterprint", () => draw(prefersDark.matches));
"""

_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --text: #1c2430; --quiet: #556070;
  --line: #d9dee5; --mark: #ffe08a;
  --more: color-mix(in srgb, var(--quiet) 55%, transparent); }
@media (prefers-color-scheme: dark) {
  :root { --page: #171c25; --card: #0e1117; --text: #e8ecf1; --quiet: #a3afbd; --line: #344050; --mark: #6b5310; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 70rem; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1.05rem; margin: 0 0 .25rem; }
h4 { font-size: .95rem; margin: 0 0 .25rem; font-weight: 600; }
p { margin: .35rem 0; max-width: 52rem; }
mark { background: var(--mark); color: inherit; padding: 0 .2em; border-radius: .2em; font-weight: 600; }
.quiet { color: var(--quiet); font-size: .92rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem 1.25rem;
  margin: 0 0 1rem; break-inside: avoid; }
figcaption { margin-top: .5rem; max-width: 52rem; }
.plot { width: 100%; min-width: 42rem; }
.scroll { overflow-x: auto; }
.card.scroll { background: linear-gradient(90deg, var(--card) 50%, transparent) left / 3rem 100% no-repeat local,
    linear-gradient(270deg, var(--card) 50%, transparent) right / 3rem 100% no-repeat local,
    linear-gradient(90deg, var(--more), transparent) left / .6rem 100% no-repeat,
    linear-gradient(270deg, var(--more), transparent) right / .6rem 100% no-repeat, var(--card); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; overflow-wrap: break-word; }
th, td { text-align: left; vertical-align: top; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--line);
  max-width: 22rem; font-variant-numeric: tabular-nums; }
tbody tr:last-child > * { border-bottom: 0; }
td { white-space: nowrap; }
@media (min-width: 60rem) { .wrapping td:nth-child(n + 3) { white-space: normal; } }
thead th { color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 600; min-width: 9rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .3rem 2rem; margin: 0; }
dl > div { display: flex; justify-content: space-between; gap: 1rem; border-bottom: 1px solid var(--line); }
dt { color: var(--quiet); white-space: nowrap; }
dd { margin: 0; text-align: right; }
ul { margin: .35rem 0; padding-left: 1.25rem; }
@media print {
  :root { --page: #ffffff; --card: #ffffff; --text: #000000; --quiet: #444444; --line: #bbbbbb; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  .card { border: 0; padding: 0; margin-bottom: 1.25rem; }
  .scroll { overflow: visible; }
  .plot { min-width: 0; }
  table { font-size: .8rem; }
  td { white-space: normal; }
  .modebar { display: none !important; }
  h2 { break-after: avoid; }
}
"""
