"""The figures of a view, and whatever of an inspection they are to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from diagnostics.charts.gallery import InspectionFigure
from diagnostics.charts.inspected_seeds import Seeds, members
from diagnostics.inspection import QUANTITIES, Inspection, which_gradient
from models.cells import CELLS
from ui import figures, look
from ui.inspect import asked
from ui.inspect.views import View
from ui.words import filename, markdown, shown

if TYPE_CHECKING:
    import plotly.graph_objects as go


def show(view: View, bundles: Sequence[Seeds], scope: str) -> None:
    """Show the figures of ``view``, those of one network for each of them, and say which gradient they are of.

    Of several seeds that are one bundle, a figure of one network shows all or the first, and says so.
    """
    if said := which_gradient([(bundle.name, bundle.first) for bundle in bundles]):
        st.info(markdown(said), icon=":material/content_cut:")
    options = _options(view, bundles)
    for info in view.figures:
        if info.several or (len(bundles) == 1 and not bundles[0].several):
            _shown(info, bundles, options, scope)
        else:
            with st.container(horizontal=True, key=f"side-by-side-{info.key}"):
                for bundle in bundles:
                    with st.container():
                        st.markdown(f"**{markdown(info.whose(bundle))}**")
                        _shown(info, [info.subject(bundle)], options, scope)
    figures.forget_others(scope)


def about_seeds(view: View) -> str:
    """What the view's figures show of runs that differ only in their seed."""
    lines = "Lines are medians over the seeds, in bands from the lowest to the highest"
    every = "“Each run” shows every seed"
    over = [info.several or info.over_seeds for info in view.figures]
    if not any(over):
        return f"Each figure is of one network, that of the first seed; {every}."
    return (
        f"{lines}."
        if all(over)
        else f"{lines}. Where a figure is of one network, it is that of the first seed; {every}."
    )


def _shown(info: InspectionFigure, bundles: Sequence[Seeds], options: dict[str, int], scope: str) -> None:
    named = members(bundles)
    if reason := lacking(info, bundles):
        st.info(f"**{info.title}**: {reason}", icon=":material/block:")
        return
    taken = {name: value for name, value in options.items() if name in info.options}
    version = (
        tuple(bundle.name for bundle in bundles),
        tuple((name, one.run_id, one.step, one.samples, one.sections) for name, one in named),
        tuple(taken.items()),
    )
    figures.present(
        f"figure-{info.key}-{scope}-{named[0][1].run_id if not info.several else 'all'}",
        version,
        info.title,
        info.how_to_read,
        file_name(info, bundles),
        lambda: drawing(info, bundles, options, look.theme(), look.size()),
    )


def drawing(
    info: InspectionFigure, bundles: Sequence[Seeds], options: Mapping[str, int], theme: str, size: str
) -> tuple[go.Figure, str]:
    """The figure and what it shows in words."""
    prepared = info.prepared(bundles, **options)
    return info.draw(prepared, theme=theme, size=size), info.accessible_name(prepared)


def file_name(info: InspectionFigure, bundles: Sequence[Seeds]) -> str:
    """What a file of the figure is called, without its ending."""
    first = bundles[0]
    whose = [first.name, f"step-{first.first.step}"] if len(bundles) == 1 or not info.several else []
    return filename("-".join(["gradreach", info.key, *whose]))


def lacking(info: InspectionFigure, bundles: Sequence[Seeds]) -> str:
    """Why the figure cannot be drawn, as a sentence; empty where it can."""
    for name, one in members(bundles):
        missing = [quantity for quantity in info.needs if quantity not in one]
        if not missing:
            continue
        section = QUANTITIES[missing[0]].section
        if section not in one.sections:
            part = section.replace("_", " ")
            return f"of {markdown(name)}, the part “{part}” was not computed: choose it at the left, and press Inspect."
        if "gates" in missing:
            return f"{markdown(name)} has nothing to show here: its cell, {CELLS[one.cell].title}, has no gates."
        return f"of {markdown(name)} nothing was found that it could show."
    return ""


def _options(view: View, bundles: Sequence[Seeds]) -> dict[str, int]:
    """The layer and the sample to show, counted from 0, asked for where there is a choice."""
    taken = {option for info in view.figures for option in info.options}
    named = members(bundles)
    layers = min(one.layers for _, one in named)
    samples = min(one.samples for _, one in named)
    found = {}
    with st.container(horizontal=True, gap="medium", key="inspect-options"):
        for name, count, label in (
            (asked.LAYER, layers, "Layer, counted from the input"),
            (asked.SAMPLE, samples, "Sample"),
        ):
            at = asked.now(name)
            asked.put(name, min(max(at, 1), count))
            if name not in taken:
                continue
            if count > 1:
                words = _sample_words(named[0][1]) if name == asked.SAMPLE else [str(n + 1) for n in range(count)]
                places = dict(enumerate(words, start=1))
                st.selectbox(label, list(places), format_func=places.__getitem__, key=asked.key(name), width=420)
            found[name] = int(asked.now(name)) - 1
    return found


def _sample_words(one: Inspection) -> list[str]:
    """Each sample by its place and the words that its answer depends on."""
    found = []
    for place, (tokens, steps) in enumerate(zip(one.tokens, one.informative_steps, strict=True)):
        words = ", ".join(f"“{tokens[t]}” at {t}" for t in sorted(steps)[:3])
        found.append(shown(f"{place + 1}: {words}" if words else f"{place + 1}"))
    return found
