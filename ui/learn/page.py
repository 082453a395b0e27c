"""The page Learn: one stop of the path, the way to the others, and what the address says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from diagnostics.store import RunRow, StoreError
from experiments.cost import duration
from experiments.spec import Refusal, RunSpec, predict
from ui import address, look, places, running
from ui.controls import SETTINGS
from ui.learn import ask, examples, kept, path, results
from ui.learn import predict as prediction
from ui.learn.stop import Stop, Values
from ui.learn.uses import uses
from ui.settings import Settings, settings_of
from ui.shell import LAB, LEARN
from ui.words import markdown

if TYPE_CHECKING:
    from ui.learn.kept import Kept

STOP = "stop"
"""The query parameter that names the stop."""

PREDICTED = "predicted"
AT = "learn-at"
"""The stop that is shown, kept while another page is."""

_PATH = "learn-path"
_WRITTEN = "learn-written"
"""The stop that the address was last given by the page: another one in it was asked for by a link."""

_LAB = (
    "Brings the Lab's controls to what is asked for here, and shows the runs, if you have trained them. Where they "
    "differ in something that the Lab does not compare, its controls begin with the first."
)
_TO_THE_TOP = "<script>document.querySelector('[data-testid=stMain]').scrollTo(0, 0)</script>"
"""Another stop begins where it begins: the browser stays where the one before was left."""


def show() -> None:
    """Draw the page."""
    said = _choose()
    told = kept.outcomes()
    with st.sidebar:
        slug = _glance()
        look.projector_toggle()
        if st.session_state.get(_WRITTEN, slug) != slug:
            st.html(_TO_THE_TOP, unsafe_allow_javascript=True)
    stop = path.load(slug)
    st.title(f"{path.number(slug)} · {stop.title}", anchor=False)
    st.markdown(f"##### {stop.question}")
    if said:
        st.warning(said)
    with st.container(horizontal=True, key="learn-story"):
        with st.container():
            st.markdown(stop.text)
        with st.container():
            st.latex(stop.equation)
            st.markdown(stop.letters)
    _experiment(stop)
    _onward(slug)
    uses(slug)
    if kept.outcomes() != told:
        st.rerun()  # for the list of stops, which was drawn before what came out was known


# Which stop


def _choose() -> str:
    """Bring the list to the stop that is asked for; returns what is to be said of an address that names none."""
    asked = st.query_params.get(STOP)
    known = asked in path.PATH
    if known and asked != st.session_state.get(_WRITTEN):
        st.session_state[AT] = asked
    elif st.session_state.get(AT) not in path.PATH:
        st.session_state[AT] = next(iter(path.PATH))
        if asked is not None:
            return f"There is no stop {address.quoted(asked)}; this is the first."
    return ""


def _glance() -> str:
    """The whole path, with what was done of it."""
    outcomes = kept.outcomes()
    # Told anew each time: a line that gets its tick is another option to the browser, which would lose the choice.
    st.session_state[_PATH] = st.session_state[AT]
    st.radio(
        "The path",
        list(path.PATH),
        format_func=lambda one: _line(one, outcomes.get(one)),
        key=_PATH,
        on_change=_take,
        help="Stop by stop through the lecture. A tick: done, and what you predicted came out; a bulb: done, "
        "and something else came out.",
    )
    done = [one for one in path.PATH if one in outcomes]
    st.caption(
        f"{len(done)} of {len(path.PATH)} done, {sum(outcomes[one] for one in done)} as predicted."
        if done
        else "Predict, then run: each stop asks first."
    )
    return str(st.session_state[AT])


def _take() -> None:
    # A browser that has not yet heard of a tick sends the line without it, which is no choice of another stop.
    if (chosen := st.session_state.get(_PATH)) in path.PATH:
        st.session_state[AT] = chosen


def _line(slug: str, right: bool | None) -> str:
    mark = "" if right is None else " :material/check:" if right else " :material/lightbulb:"
    return f"{path.number(slug)} {path.PATH[slug]}{mark}"


def _onward(slug: str) -> None:
    """The stops before and after."""
    before, after = path.beside(slug)
    with st.container(horizontal=True, horizontal_alignment="distribute", key="learn-onward"):
        if before:
            label = f"{path.number(before)} {path.PATH[before]}"
            st.page_link(LEARN, label=label, icon=":material/arrow_back:", query_params={STOP: before})
        if after:
            label = f"{path.number(after)} {path.PATH[after]}"
            st.page_link(
                LEARN, label=label, icon=":material/arrow_forward:", icon_position="right", query_params={STOP: after}
            )


# The experiment


def _experiment(stop: Stop) -> None:
    mine = kept.of(stop.slug)
    with st.container(border=True, key="learn-experiment"):
        with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="learn-controls"):
            values = dict(stop.controls())
        for sentence in st.session_state.pop(ask.REFUSED, ()):
            st.warning(markdown(sentence))
        specs, refusal = _specs(stop, values)
        _take_address(stop, mine, values)
        rows = _rows(mine.comparison)
        if mine.values is None and rows and _same(rows, specs):
            mine.values = values
        if stop.before is not None:
            stop.before(values)
        place = prediction.ask(stop, values)
        _run(stop, values, specs, refusal, locked=place is None)
    _tools(stop, values, rows, specs)
    _write_address(stop, mine, values, place)
    _result(stop, mine, values, rows, place)


def _specs(stop: Stop, values: Values) -> tuple[list[RunSpec], str]:
    try:
        return list(stop.specs(values)), ""
    except Refusal as refusal:
        return [], " ".join(f"{line}." for line in dict.fromkeys(str(refusal).splitlines()))


def _rows(comparison: str) -> list[RunRow]:
    """The runs of the comparison in the order in which they were asked for; none where there is no such comparison."""
    try:
        return places.store().runs(comparison=comparison)[::-1] if comparison else []
    except StoreError as error:
        st.error(f"{markdown(str(error))}.", icon=":material/error:")
        return []


def _same(rows: Sequence[RunRow], specs: Sequence[RunSpec]) -> bool:
    return [dict(row.spec) for row in rows] == [spec.to_json() for spec in specs]


def _run(stop: Stop, values: Values, specs: Sequence[RunSpec], refusal: str, *, locked: bool) -> None:
    """The button, with what it will cost; before the prediction it is locked."""
    if refusal:
        st.error(markdown(refusal), icon=":material/error:")
        return
    if not specs:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="learn-run-line"):
        st.button(
            f"Run {len(specs)} networks" if len(specs) > 1 else "Run",
            type="secondary" if locked else "primary",
            icon=":material/play_arrow:",
            key=f"learn-{stop.slug}-run",
            disabled=locked,
            on_click=_start,
            args=(stop, specs, values),
        )
        cost = f"About {duration(sum(predict(spec).seconds for spec in specs))} if this machine is idle."
        st.caption(f"{cost} Unlocked by your prediction." if locked else cost)


def _start(stop: Stop, specs: Sequence[RunSpec], values: Values) -> None:
    names = None if stop.names is None else stop.names(values)
    if comparison := running.queued(specs, names=names, title=f"Learn: {stop.title}"):
        mine = kept.of(stop.slug)
        mine.comparison, mine.values = comparison, dict(values)


def _result(stop: Stop, mine: Kept, values: Values, rows: Sequence[RunRow], place: int | None) -> None:
    """What came out: of the person's own runs, else the recorded example; nothing before a prediction was made."""
    if not mine.predicted:
        st.caption(":material/visibility_off: What comes out is shown once you have predicted it.")
        return
    if rows:
        if mine.values is not None and kept.name_of(mine.values) != kept.name_of(values):
            st.caption("Below are the runs of before, of other controls than those above.")
        results.of_rows(stop, mine.values, rows)
        return
    if mine.comparison:
        st.warning(f"The runs {markdown(mine.comparison[:60])} are gone: they were deleted, or made elsewhere.")
    if not stop.specs(stop.usual):
        if place is not None:
            results.of_nothing(stop, values)
        return
    if seen := examples.seen(stop.slug):
        other = kept.name_of(values) != kept.name_of(stop.usual)
        st.caption(
            ":material/play_circle: **Recorded example**"
            + (", of the controls as they were at first." if other else ".")
            + " Press **Run** above to train your own."
        )
        results.of_example(stop, seen)
    else:
        st.info("Press **Run** above: what comes out is shown here.")


# Links: the address, and the way to the Lab


def _take_address(stop: Stop, mine: Kept, values: Values) -> None:
    """In a new session, take from a link which runs it shows and what was predicted of them."""
    params = st.query_params
    if params.get(STOP) != stop.slug or st.session_state.get(_WRITTEN) == stop.slug:
        return
    if not mine.comparison and params.get(address.COMPARISON):
        mine.comparison = params[address.COMPARISON]
    given = params.get(PREDICTED, "")
    if given.isdecimal() and int(given[:3]) <= len(stop.prediction.options) and int(given[:3]):
        mine.predicted.setdefault(kept.name_of(values), int(given[:3]) - 1)


def _write_address(stop: Stop, mine: Kept, values: Values, place: int | None) -> None:
    params = {STOP: stop.slug}
    for name, value in values.items():
        said = ask.written(value)
        if said is not None and said != ask.written(stop.usual[name]):
            params[name] = said
    if mine.comparison:
        params[address.COMPARISON] = mine.comparison
    if place is not None:
        params[PREDICTED] = str(place + 1)
    if st.session_state.get(look.PROJECTOR):
        params[look.PROJECTOR] = "1"
    # A link to another stop of this page changes the parameters here and not what the browser shows.
    if params != st.query_params.to_dict() or st.session_state.get(_WRITTEN) != stop.slug:
        st.query_params.from_dict(params)
    st.session_state[_WRITTEN] = stop.slug


def _tools(stop: Stop, values: Values, rows: Sequence[RunRow], specs: Sequence[RunSpec]) -> None:
    """The way to the same in the Lab, and what can be taken along."""
    wanted: Any = specs if stop.lab is None else stop.lab(values)
    with st.container(horizontal=True, horizontal_alignment="right", gap="small", key="tools"):
        if wanted:
            settings = wanted if isinstance(wanted, Settings) else settings_of(wanted)
            if st.button("The same in the Lab", icon=":material/science:", key=f"learn-{stop.slug}-lab", help=_LAB):
                st.session_state[SETTINGS] = settings
                if rows:
                    st.session_state[address.COMPARISON] = rows[0].comparison
                st.switch_page(LAB, query_params=address.write(settings))
        if kept.of(stop.slug).predicted:
            from ui.learn.exports import export

            export(stop, values, rows)
