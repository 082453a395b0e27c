"""A figure is drawn wherever its place is put: also where that is taken off the page for a moment, or used again."""

from __future__ import annotations

import json

import plotly.graph_objects as go
import pytest
from playwright.sync_api import Page

from tests.browser.conftest import ROOT
from tests.browser.person import come
from ui.live_figure import encode

MOUNT = """async ([source, message]) => {
    const { default: mount } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const place = document.createElement("div");
    place.id = "place";
    window.put = () => mount({
        data: new TextEncoder().encode(message), parentElement: place, setTriggerValue: () => {},
    });
    window.place = place;
}"""


@pytest.fixture
def mounted(page: Page, server: str) -> Page:
    """A page of the app on which ``put()`` shows a figure in ``place``, which is not on the page yet."""
    come(page, f"{server}/inspect")
    figure = go.Figure(go.Scatter(y=[1.0, 2.0]), {"height": 200})
    message = json.loads(encode(figure, title="A line", label="a line", filename="line"))
    source = (ROOT / "ui" / "live_figure.js").read_text(encoding="utf-8")
    page.evaluate(MOUNT, [source, json.dumps(message)])
    return page


def test_a_figure_that_comes_before_its_place_is_on_the_page_is_drawn_when_it_is(mounted: Page) -> None:
    mounted.evaluate("put(); null")
    mounted.wait_for_function("window.Plotly")
    mounted.evaluate("new Promise(done => setTimeout(done))")  # what can be done without a place has been
    mounted.evaluate("document.body.append(place)")
    mounted.locator("#place svg.main-svg").first.wait_for(timeout=30_000)


def test_a_place_that_is_used_again_holds_one_figure(mounted: Page) -> None:
    mounted.evaluate("document.body.append(place); window.leave = put(); null")
    mounted.locator("#place svg.main-svg").first.wait_for(timeout=30_000)
    mounted.evaluate("place.remove(); leave()")
    mounted.wait_for_function("place.liveFigure === undefined")
    mounted.evaluate("document.body.append(place); put(); null")
    mounted.locator("#place svg.main-svg").first.wait_for(timeout=30_000)
    assert mounted.locator("#place .live-figure").count() == 1
