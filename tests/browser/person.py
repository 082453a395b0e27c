"""What a person does on the page, in the words of the tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from playwright.sync_api import Locator, Page

Seen = TypeVar("Seen")


def settled(page: Page, seconds: float = 30.0) -> None:
    """Wait until the page's script has run, and what it sent is drawn.

    Streamlit fetches the code that draws an element (also the one that puts the page's own style in place) when the
    first of its kind comes, and draws a skeleton until then.
    """
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=1000 * seconds)
    page.wait_for_function(
        "!document.querySelector('[data-stale=true], [data-testid=stSkeleton]')", timeout=1000 * seconds
    )


def come(page: Page, address: str) -> None:
    """Open an address and wait until it is there."""
    page.goto(address)
    page.wait_for_selector("h1", timeout=30_000)
    settled(page)


def until(look: Callable[[], Seen], happy: Callable[[Seen], bool], what: str, seconds: float = 60.0) -> Seen:
    """Look until ``happy``; fails with ``what`` and the last thing seen."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if happy(seen):
            return seen
        assert time.monotonic() < deadline, f"{what} within {seconds:g} s; last seen: {str(seen)[:500]}"
        time.sleep(0.1)


def figure(page: Page, key: str, of: str = "c-") -> Locator:
    """The drawing of one figure (the first, where every run has its own); ``of`` begins what it is drawn of."""
    plot = page.locator(f"[class*='st-key-figure-{key}-{of}'] .live-figure-plot").first
    plot.locator("svg.main-svg").first.wait_for(timeout=60_000)
    return plot


def drawn(plot: Locator) -> dict[str, Any]:
    """What a figure shows now: its fingerprint, points per trace, ranges, hidden traces, and a mark on its node."""
    seen: dict[str, Any] = plot.evaluate(
        """node => ({
            version: node.dataset.version,
            x: node.layout.xaxis.range,
            points: node._fullData.map(t => (t.x || t.z || []).length).reduce((a, b) => a + b, 0),
            hidden: node._fullData.filter(t => t.visible === 'legendonly').length,
            mark: node.mark,
        })"""
    )
    return seen


def mark(plot: Locator) -> None:
    """Leave a mark on the node: a figure that is mounted anew has lost it."""
    plot.evaluate("node => { node.mark = 'same node' }")


def zoom(page: Page, plot: Locator) -> None:
    """Drag a box over the middle of the plotting area."""
    plot.scroll_into_view_if_needed()
    # In one look: a refresh may replace the layer that takes the drag at any moment.
    box = plot.evaluate("node => node.querySelector('.nsewdrag').getBoundingClientRect().toJSON()")
    page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.7 * box["height"], steps=8)
    page.mouse.up()


def address(page: Page) -> str:
    """What the address bar says (``page.url`` lags behind a page that changes it by itself)."""
    found: str = page.evaluate("location.href")
    return found


def states(page: Page) -> list[str]:
    """The state of each run, as its verdict says it."""
    found: list[str] = page.locator(".verdicts li .verdict-cell:last-child small").all_inner_texts()
    return [text.split(" ")[0] for text in found]


def fill(page: Page, label: str, text: str) -> None:
    """Type into a field and leave it."""
    field = page.get_by_label(label, exact=True)
    field.fill(text)
    field.press("Tab")
    settled(page)
