"""What to look at: a run, one of the training steps that it kept its weights of, a probe, and runs to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from diagnostics.charts.inspected_seeds import Seeds
from diagnostics.inspection import SECTIONS
from diagnostics.store import RunRow, Store, StoreError
from experiments.cost import duration
from experiments.inspection.asked import Asked
from experiments.inspection.cost import predict
from experiments.inspection.limits import cannot_stored
from experiments.inspection.request import Ticket, nothing_kept, request
from experiments.spec import Refusal, RunSpec
from experiments.watched import is_watched
from ui.address import quoted
from ui.inspect import asked
from ui.naming import labels
from ui.words import listed, markdown, shown

SAMPLES = (1, 2, 4, 8, 16, 32, 64)
REFUSED = "inspect-refused"
"""What could not be asked for at the last click, as a sentence."""


@dataclass(frozen=True)
class Look:
    """A run that can be looked into: its name among those that are chosen, and what is asked of it."""

    row: RunRow
    name: str
    ticket: Ticket


@dataclass(frozen=True)
class Chosen:
    """What is chosen: the first of ``looks`` is the run itself, where it kept any weights."""

    row: RunRow
    kept: tuple[int, ...]
    """The steps that the run kept its weights of."""
    looks: tuple[Look, ...]
    without: tuple[str, ...]
    """A sentence for each chosen run that cannot be looked into."""


def choose(store: Store, rows: Sequence[RunRow]) -> Chosen:
    """Show the controls; ``rows`` are all stored runs, at least one."""
    known = {row.id: row for row in rows}
    _settle(known)
    run_id = st.selectbox(
        "Run",
        list(known),
        format_func=lambda one: _label(known[one]),
        key=asked.key(asked.RUN),
        help="Type to find a run by its name, its comparison or its id.",
    )
    row = known[run_id]
    kept, fault = _kept(store, row)
    step = _step(kept)
    samples = st.select_slider(
        "Held-out samples",
        SAMPLES,
        key=asked.key(asked.SAMPLES),
        help="How many sentences that it was not trained on go through it. More are steadier, and take longer.",
    )
    others = st.multiselect(
        "Compare with",
        [one for one in known if one != run_id],
        format_func=lambda one: _label(known[one]),
        key=asked.key(asked.WITH),
        max_selections=asked.OTHERS_AT_MOST,
        placeholder="no other run",
        help="Each at the step, of those it kept, that is nearest to the one chosen above.",
    )
    with st.expander("What to compute"):
        parts = st.multiselect(
            "Parts",
            list(SECTIONS),
            format_func=_part,
            key=asked.key(asked.PARTS),
            help="\n".join(f"- **{_part(name)}**: {markdown(meaning)}" for name, meaning in SECTIONS.items()),
        )
        if not parts:
            st.caption("Choose at least one part.")
    everything = [row, *(known[one] for one in others)]
    without = [f"{fault}."] if fault else []
    looks = []
    if parts:
        what = Asked(int(samples), tuple(parts))
        for one, name in zip(everything, labels(everything), strict=True):
            steps, fault = (kept, fault) if one is row else _kept(store, one)
            if steps:
                at = step if one is row else min(steps, key=lambda s: (abs(s - step), s))
                looks.append(Look(one, name, Ticket(store, one.id, at, what)))
            elif one is not row:
                without.append(f"{fault}.")
    missing = [one for one in looks if one.ticket.state().name in ("cancelled", "failed")]
    st.button(
        "Inspect",
        type="primary",
        icon=":material/search:",
        width="stretch",
        key="inspect",
        disabled=not kept or not missing,
        on_click=ask,
        args=(missing,),
    )
    if kept and missing:
        _predicted(missing)
    return Chosen(row, kept, tuple(looks) if kept else (), tuple(without))


def _predicted(looks: Sequence[Look]) -> None:
    """What computing them would cost."""
    try:
        seconds = sum(predict(RunSpec.from_json(look.row.spec), look.ticket.asked).seconds for look in looks)
    except Refusal:
        return  # a spec of another version: whoever computes will say so
    st.caption(f"Predicted: about {duration(seconds)} if this machine is idle.")


def ask(looks: Sequence[Look]) -> None:
    """Ask for what is not there yet."""
    refused = []
    for look in looks:
        try:
            request(look.ticket.store, look.ticket.run_id, look.ticket.step, look.ticket.asked)
        except StoreError as error:
            refused.append(f"{error}.")
    st.session_state[REFUSED] = " ".join(refused)


def _settle(known: dict[str, RunRow]) -> None:
    """Bring what is asked to what there is, and say what is missing."""
    wanted, others = asked.now(asked.RUN), asked.now(asked.WITH)
    missing = [one for one in [wanted, *others] if one and one not in known]
    if missing:
        st.warning(markdown(f"There is no run {quoted(', '.join(missing))} here: it was deleted, or made elsewhere."))
    if wanted not in known:
        begun = [row for row in known.values() if row.steps_done] or list(known.values())
        begun = [row for row in begun if not is_watched(row.spec)] or begun  # the others can be looked into
        asked.put(asked.RUN, [row.id for row in known.values() if row.comparison == begun[0].comparison][-1])
    run_id = asked.now(asked.RUN)
    asked.put(asked.WITH, [one for one in dict.fromkeys(others) if one in known and one != run_id])
    samples = asked.now(asked.SAMPLES)
    asked.put(asked.SAMPLES, min(SAMPLES, key=lambda one: abs(one - samples)))


def _kept(store: Store, row: RunRow) -> tuple[tuple[int, ...], str]:
    """The steps that a run kept its weights of, or why there is none, or none that can be looked into."""
    if why := cannot_stored(row.spec):
        return (), why
    try:
        kept = store.weights_steps(row.id)
        return kept, "" if kept else _capital(nothing_kept(store, row.id, -1, kept))
    except StoreError as error:
        return (), _capital(str(error))


def _step(kept: Sequence[int]) -> int:
    """The training step, the last where the run has none that was asked for."""
    if not kept:
        return 0
    before = asked.now(asked.STEP)
    asked.put(asked.STEP, kept[-1] if before is None else min(kept, key=lambda one: abs(one - before)))
    if len(kept) == 1:
        st.markdown(f"After **{kept[0]}** updates, the only step that it kept its weights of.")
        return kept[0]
    return int(
        st.select_slider(
            "Training step: updates made before",
            list(kept),
            key=asked.key(asked.STEP),
            help="The steps whose weights the run kept; 0 is before any update.",
        )
    )


def _part(name: str) -> str:
    return name.replace("_", " ")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _label(row: RunRow) -> str:
    comparison = f" · {row.comparison_name}" if row.comparison_name else ""
    return shown(f"{row.name}{comparison} · {row.id}")


def about(chosen: Chosen, bundles: Sequence[Seeds]) -> str:
    """What is looked at, in a line; those of ``bundles``, which are shown, by the names that they have together."""
    first = chosen.looks[0]
    together = {one.run_id: bundle.name for bundle in bundles for _, one in bundle.members}
    names = {look.row.id: together.get(look.row.id, look.name) for look in chosen.looks}
    name, *beside = dict.fromkeys(f"{names[look.row.id]} after {look.ticket.step}" for look in chosen.looks)
    samples = first.ticket.asked.samples
    probe = f"{samples} held-out sample{'s' * (samples > 1)}"
    more = f"; beside {listed(beside)}" if beside else ""
    return f"{name} of {first.row.steps} updates, {probe}{more}"
