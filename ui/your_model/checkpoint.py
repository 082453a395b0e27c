"""A checkpoint of plain nn.RNN, nn.GRU or nn.LSTM: how far a gradient gets through it on a probe sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from diagnostics.charts import checkpoint as chart
from diagnostics.checkpoint import INPUTS, LOSSES, NONLINEARITIES, TIMESTEPS_AT_MOST, Asked, Part, Probed
from diagnostics.measures.verdict import verdict
from experiments.checkpoint.job import ENDINGS, FILE_AT_MOST, Job
from experiments.spec import Refusal
from ui import exports, figures, look
from ui.words import filename, markdown, markup

if TYPE_CHECKING:
    import plotly.graph_objects as go

EVERY_S = 0.4
_JOB = "checkpoint-job"
"""The file that is looked into: ``(id of the upload, Job or the sentence why there is none)``."""
_PROBED = "checkpoint-asked"
"""What the newest probe was asked."""
_FOUND = "checkpoint-found"
"""What the newest probe that is over has found: ``(id of the upload, Probed)``."""


def show() -> None:
    """Draw the view."""
    st.caption(
        "Weights of plain `nn.RNN`, `nn.GRU` and `nn.LSTM`, as **.safetensors** or as a **.pt** that holds weights and "
        "nothing else. Code is never uploaded and never run: only numbers are read, in a process of its own, on the "
        "machine that serves this page. The file is not kept."
    )
    file = st.file_uploader(
        "A checkpoint: a state_dict, or what holds one",
        type=list(ENDINGS),
        key="checkpoint",
        max_upload_size=FILE_AT_MOST // 2**20,
        help="From torch: torch.save(model.state_dict(), 'model.pt'), or safetensors.torch.save_file(…).",
    )
    if file is None:
        for key in (_JOB, _PROBED, _FOUND):
            st.session_state.pop(key, None)
        return
    if st.session_state.get(_JOB, ("",))[0] != file.file_id:
        st.session_state.pop(_PROBED, None)
        st.session_state[_JOB] = (file.file_id, _begun(file.getbuffer()))
    job = st.session_state[_JOB][1]
    if isinstance(job, str):
        _refused(job)
        return
    # A place of its own each: what comes and goes must not move the figure's node.
    controls, status, result = st.container(), st.container(), st.container()
    state = job.state()
    if _PROBED in st.session_state or state.name == "done":
        with controls:
            _probe(job, job.parts())
    with status:
        if state.name == "failed":
            _refused(state.words)
            return
        if state.name == "working":
            words = "Probing …" if _PROBED in st.session_state else "Reading the file …"
            st.fragment(_look_again, run_every=EVERY_S)(job, words)
        elif _PROBED in st.session_state:
            st.session_state[_FOUND] = (file.file_id, job.probed())
    found: tuple[str, Probed] | None = st.session_state.get(_FOUND)
    if found is not None and found[0] == file.file_id:  # while another probe is under way, that of before
        with result:
            _result(found[1], file.file_id)


def _begun(content: memoryview) -> Job | str:
    try:
        return Job.of(content)
    except Refusal as refusal:
        return str(refusal)


def _refused(sentence: str) -> None:
    st.error(f"{markdown(sentence)}.", icon=":material/error:")


def _look_again(job: Job, words: str) -> None:
    if job.state().name == "working":
        st.markdown(f":material/hourglass_top: {words}")
    else:
        st.rerun()


def _probe(job: Job, parts: tuple[Part, ...]) -> None:
    """Which recurrence, and with what it is probed; the first probe begins by itself."""
    for part in parts:
        if part.refused:
            st.warning(f"{markdown(part.refused)}.", icon=":material/block:")
    known = {part.name: part for part in parts if not part.refused}
    if not known:
        if not parts:
            st.info(
                "No recurrent weights were found in the file. They are known by the names that torch.nn gives them, "
                "such as `encoder.weight_ih_l0` and `encoder.weight_hh_l0`; for cells of your own, watch the model "
                "while it trains (*How to attach*).",
                icon=":material/search_off:",
            )
        return
    asked = _asked(known)
    if asked is not None and asked != st.session_state.get(_PROBED):
        try:
            job.ask(asked)
        except Refusal as refusal:
            _refused(str(refusal))
            return
        st.session_state[_PROBED] = asked
        st.rerun()


def _asked(known: dict[str, Part]) -> Asked | None:
    """The controls; every change probes anew."""
    name = next(iter(known))
    if len(known) > 1:
        name = st.selectbox(
            "Recurrence", list(known), format_func=lambda one: known[one].title, key="checkpoint-part", width=520
        )
    else:
        st.markdown(f"**{markdown(known[name].title)}**")
    part = known[name]
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="checkpoint-controls"):
        nonlinearity = NONLINEARITIES[0]
        if part.kind == "rnn":
            nonlinearity = str(
                st.segmented_control(
                    "Nonlinearity",
                    NONLINEARITIES,
                    default=nonlinearity,
                    key="checkpoint-nonlinearity",
                    required=True,
                    help="The weights of an nn.RNN do not say which it is.",
                )
            )
        inputs = st.segmented_control(
            "Probe",
            list(INPUTS),
            format_func=INPUTS.__getitem__,
            default="noise",
            key="checkpoint-inputs",
            required=True,
            help="What goes in, before the first layer: embeddings, if the model has any, are not part of it.",
        )
        scale = 1.0
        if inputs == "noise":
            scale = st.number_input(
                "Scale", 0.001, 1000.0, 1.0, format="%g", key="checkpoint-scale", width=140,
                help="The standard deviation of the noise: about that of what the layer gets in your model.",
            )  # fmt: skip
        timesteps = st.number_input("T, timesteps", 2, TIMESTEPS_AT_MOST, 100, key="checkpoint-timesteps", width=150)
        loss = st.segmented_control(
            "Loss",
            list(LOSSES),
            format_func={"norm": "‖last state‖²", "projection": "random projection"}.__getitem__,
            default="norm",
            key="checkpoint-loss",
            required=True,
            help=f"What the gradient is of: the {LOSSES['norm']}, or {LOSSES['projection']}.",
        )
    return Asked(name, nonlinearity, str(inputs), float(scale), int(timesteps), str(loss))


def _result(probed: Probed, file_id: str) -> None:
    def make() -> tuple[go.Figure, str]:
        prepared = chart.prepare(probed)
        return chart.draw(prepared, theme=look.theme(), size=look.size()), chart.describe(prepared)

    name = filename(f"gradreach-checkpoint-{probed.part.name or 'profile'}")
    with st.container(horizontal=True, key="profile-and-words"):
        with st.container():
            figures.present(
                "figure-checkpoint-probe", (file_id, probed.asked), chart.TITLE, chart.HOW_TO_READ, name, make
            )
        with st.container():
            st.html(_in_words(probed))
    header, rows = chart.rows(probed)
    st.html(_table(header, rows))
    bound = ""
    if probed.part.kind == "rnn":
        bound = (
            " Where the largest singular value σ max is below 1, the gradient of this cell must vanish; above 1 it may "
            "grow, but need not."
        )
    else:
        bound = " With gates none of these numbers alone is the factor of a step."
    st.caption(f"σ max is the largest singular value of W_hh, |λ| the largest absolute eigenvalue.{bound}")
    theme, size = look.theme(), look.size()
    with st.popover("Export", icon=":material/download:"):
        exports.figure_files(
            name,
            lambda: chart.draw(chart.prepare(probed), theme=theme, size=size),
            chart.TITLE,
            chart.HOW_TO_READ,
            "checkpoint",
        )


def _in_words(probed: Probed) -> str:
    """A verdict for every layer and direction."""
    said = "".join(
        f"<p><strong>{markup(probed.label(walk))}</strong> {markup(verdict(probed.as_run(walk)).sentence)}</p>"
        for walk in probed.walks[::-1]
    )
    return f'<section class="in-words"><h3>In words</h3>{said}</section>'


def _table(header: Sequence[str], rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{markup(cell)}</th>' for cell in header)
    lines = "".join(
        f'<tr><th scope="row">{markup(first)}</th>{"".join(f"<td>{markup(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return f'<table class="answers"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'
