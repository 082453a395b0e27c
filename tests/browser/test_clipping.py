"""What a person does on the page Clipping: moves a threshold, points at the cliff, drags the start."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.person import address, come, fill, settled, until

Trained = tuple[str, list[str]]


def plot(page: Page, key: str) -> Locator:
    found = page.locator(f"[class*='st-key-figure-{key}'] .live-figure-plot").first
    found.locator("svg.main-svg").first.wait_for(timeout=60_000)
    return found


def meta(figure: Locator) -> dict[str, Any]:
    found: dict[str, Any] = figure.evaluate("node => node.layout.meta")
    return found


def pixel(figure: Locator, w: float, b: float) -> tuple[float, float]:
    """Where on the screen a place of the cliff is."""
    figure.scroll_into_view_if_needed()
    x, y = figure.evaluate(
        """(node, [w, b]) => {
            const box = node.querySelector('.nsewdrag').getBoundingClientRect(), layout = node._fullLayout;
            return [box.x + layout.xaxis.d2p(w), box.y + layout.yaxis.d2p(b)];
        }""",
        [w, b],
    )
    return x, y


def test_a_slider_answers_from_the_stored_runs(page: Page, server: str, trained: Trained, errors: list[str]) -> None:
    come(page, f"{server}/clipping?runs={','.join(trained[1])}&norm=0.001")
    figure = plot(page, "what_if_norm")
    expect(page.locator("table.answers tbody tr")).to_have_count(2)
    expect(page.locator("table.answers")).to_contain_text("100 % (30 of 30)")
    before = figure.evaluate("node => { node.mark = 'same node'; return node.dataset.version }")
    page.get_by_role("slider", name="Threshold by norm").press("End")
    settled(page)
    until(lambda: figure.evaluate("node => node.dataset.version"), lambda now: now != before, "the figure follows")
    assert figure.evaluate("node => node.mark") == "same node"
    expect(page.locator("table.answers")).to_contain_text("0 % (0 of 30)")
    page.get_by_role("radio", name="by value").click()
    settled(page)
    plot(page, "what_if_value")
    expect(page.locator("table.answers")).to_contain_text("cosine, raw and cut")
    until(lambda: address(page), lambda url: "rule=value" in url and trained[1][0] in url, "the address follows")
    assert not errors


def test_the_start_on_the_cliff_is_typed_clicked_and_dragged(page: Page, server: str, errors: list[str]) -> None:
    come(page, f"{server}/clipping?view=cliff")
    above = plot(page, "cliff-above")
    assert meta(above)["start"] == [5.0, -2.2]
    fill(page, "Start: w", "5.5")
    until(lambda: meta(above)["start"], lambda start: start == [5.5, -2.2], "the typed start is drawn")

    page.mouse.click(*pixel(above, 6.0, -1.0))
    near = until(lambda: meta(above)["start"], lambda start: start[0] > 5.8, "the clicked start is drawn")
    assert near == pytest.approx([6.0, -1.0], abs=0.05)
    until(lambda: address(page), lambda url: "w=" in url and "b=" in url, "the address follows")

    settled(page)
    page.mouse.move(*pixel(above, *near))
    page.mouse.down()
    page.mouse.move(*pixel(above, 4.5, -0.5), steps=8)
    page.mouse.up()
    dropped = until(lambda: meta(above)["start"], lambda start: start[0] < 5, "the dragged start is drawn")
    assert dropped == pytest.approx([4.5, -0.5], abs=0.05)
    settled(page)
    ring = above.evaluate("node => [node.layout.shapes[0].xanchor, node.layout.shapes[0].yanchor]")
    assert ring == pytest.approx(dropped, abs=1e-6)
    fill(page, "Start: b", "-2")
    until(
        lambda: above.evaluate("node => node.layout.shapes[0].yanchor"), lambda b: b == -2, "the ring goes where typed"
    )
    assert not errors


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_no_serious_accessibility_violation(page: Page, server: str, trained: Trained) -> None:
    found = []
    for query, key in (("", "what_if_norm"), ("?rule=value", "what_if_value"), ("?view=cliff", "cliff-above")):
        come(page, f"{server}/clipping{query}")
        plot(page, key)
        settled(page)
        found += [
            (query, violation["id"], [node["html"][:200] for node in violation["nodes"][:3]])
            for violation in Axe().run(page).response["violations"]
            if violation["impact"] in ("serious", "critical")
        ]
    assert not found, found
