"""One stop of a lecture as an HTML page: the question, what was predicted and what came out, and every figure of it.

Works offline like the report of a comparison, of which it has the parts that say what was run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from diagnostics.export.gallery import Drawing
from diagnostics.export.mathml import mathml
from diagnostics.export.page import document, escape
from diagnostics.export.report import asked_and_made, figure_card, judged_in_words
from diagnostics.records import Run
from diagnostics.version import VERSION


@dataclass(frozen=True)
class Story:
    """What is told. Texts are the little Markdown of ``prose``; ``equation`` is LaTeX."""

    title: str
    question: str
    text: str
    equation: str
    letters: str
    outcome: Sequence[str]
    """What was predicted and what came out, a paragraph each."""
    seen: Sequence[str]


def story_html(
    story: Story,
    runs: Sequence[Run],
    drawn: Sequence[Drawing],
    dark: Sequence[Drawing] = (),
    *,
    created_s: float | None = None,
) -> str:
    """The page; ``drawn`` are its figures, ``dark`` the same for readers who prefer dark pages.

    ``created_s`` is the time that the page carries, in seconds since 1970; None takes now.
    """
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(created_s))
    body = [
        f"<header>\n<h1>{escape(story.title)}</h1>",
        f'<p class="quiet">written {when} by gradreach {VERSION}</p>',
        f"<p><strong>{prose(story.question)}</strong></p>\n</header>\n<main>",
        f"<p>{prose(story.text)}</p>",
        f'<section class="card">{_equation(story.equation)}<p>{prose(story.letters)}</p></section>',
        *(("<h2>Predicted and found</h2>",) if story.outcome else ()),
        *(f"<p>{prose(line)}</p>" for line in story.outcome),
        *_listed("What to see", story.seen),
        *(("<h2>Figures</h2>",) if drawn else ()),
        *(figure_card(drawing) for drawing in drawn),
        *(judged_in_words(runs) if runs else ()),
        *(asked_and_made(runs) if runs else ()),
        "</main>",
    ]
    return document(story.title, "\n".join(body), {d.key: d.json for d in drawn}, {d.key: d.json for d in dark})


def _equation(latex: str) -> str:
    return mathml(latex) or f"<p><code>{escape(latex)}</code></p>"


def _listed(title: str, lines: Sequence[str]) -> Iterable[str]:
    if lines:
        yield f"<h2>{escape(title)}</h2>"
        yield "<ul>" + "".join(f"<li>{prose(line)}</li>" for line in lines) + "</ul>"


def prose(text: str) -> str:
    """Markdown as our own texts use it, as HTML: paragraphs, bold, italics, code, formulas as they are written, and
    escaped signs. Everything else is shown as it stands."""
    html = escape(text)
    kept: list[str] = []

    def keep(found: str) -> str:
        kept.append(found)
        return f"\0{len(kept) - 1}\0"

    html = re.sub(r"\$([^$\n]+)\$", lambda m: keep(f"<i>{_formula(m[1])}</i>"), html)
    html = re.sub(r"`([^`\n]+)`", lambda m: keep(f"<code>{m[1]}</code>"), html)
    html = re.sub(r"\\(&[#a-z0-9]+;|[^\w\s]|_)", lambda m: keep(m[1]), html)
    html = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html)
    html = re.sub(r"\*(.+?)\*", r"<em>\1</em>", html)
    html = re.sub(r"\n\s*\n", "</p><p>", html)
    while "\0" in html:
        html = re.sub(r"\0(\d+)\0", lambda m: kept[int(m[1])], html)
    return html


_SIGNS = {
    "lambda": "λ", "sigma": "σ", "theta": "θ", "partial": "∂", "le": "≤", "ge": "≥", "cdot": "·", "times": "×",
    "to": "→", "infty": "∞", "sum": "Σ", "prod": "Π", "in": "∈", "odot": "⊙", "mathcal": "", "tanh": "tanh",
    "operatorname": "", "text": "", "mathrm": "", "mathbf": "", "hat": "", "vec": "", "overrightarrow": "→",
    "overleftarrow": "←", "lVert": "‖", "rVert": "‖", "left": "", "right": "", "approx": "≈", "eta": "η",
    "nabla": "∇", "alpha": "α", "tau": "τ", "phi": "φ", "log": "log", "exp": "exp", "max": "max", "min": "min",
}  # fmt: skip


def _formula(latex: str) -> str:
    """A letter or two of LaTeX, already escaped, as HTML: indices, powers and the signs that there are for them."""
    html = re.sub(r"\\[,;! ]", " ", latex)
    html = re.sub(r"\\([A-Za-z]+) ?", lambda m: _SIGNS.get(m[1], m[1]), html)
    for sign, tag in (("_", "sub"), ("^", "sup")):
        html = re.sub(rf"\{sign}\{{([^{{}}]*)\}}", rf"<{tag}>\1</{tag}>", html)
        html = re.sub(rf"\{sign}([^<\s{{])", rf"<{tag}>\1</{tag}>", html)
    return html.replace("{", "").replace("}", "")
