"""What a person does on the Lab page, from the first look to the second comparison."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import Page, expect

from experiments.presets import PRESETS
from tests.browser.conftest import SMALL
from tests.browser.person import address, come, drawn, figure, fill, mark, settled, states, until, zoom

# About as long as it takes to zoom, hide a line and look on: long enough to see the lines move, and then stopped.
LONG = f"{SMALL}&cell=tanh,gru&steps=60000&record_every=100"


def test_first_look_is_not_empty_and_asks_nobody_else(page: Page, server: str, errors: list[str]) -> None:
    come(page, server)
    expect(page.get_by_role("heading", level=1)).to_contain_text("gradient")
    for preset in PRESETS.values():
        expect(page.get_by_role("button", name=preset.title, exact=True)).to_be_visible()
    expect(page.get_by_text("Recorded example")).to_be_visible()
    figure(page, "ribbon", "example")
    assert errors == []


@pytest.mark.parametrize(("size", "projector"), [((1440, 900), ""), ((1024, 768), ""), ((1024, 768), "?projector=1")])
def test_the_verdicts_leave_room_for_the_picture(
    page: Page, server: str, size: tuple[int, int], projector: str
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    come(page, f"{server}/{projector}")
    top = figure(page, "ribbon", "example").evaluate("node => node.getBoundingClientRect().top")
    cells = page.locator(".verdict-row").first.locator("> *").all()
    boxes = [box for cell in cells if (box := cell.bounding_box()) is not None]
    assert len(boxes) >= 6
    for one, other in itertools.combinations(boxes, 2):
        apart = one["x"] + one["width"] <= other["x"] + 1 or other["x"] + other["width"] <= one["x"] + 1
        below = one["y"] + one["height"] <= other["y"] + 1 or other["y"] + other["height"] <= one["y"] + 1
        assert apart or below, (one, other)
    if not projector:
        assert top < 0.65 * size[1], top
        assert max(row.bounding_box()["height"] for row in page.locator(".verdict-row").all()) <= 48  # type: ignore[index]


def test_a_preset_fills_the_controls_and_the_address(page: Page, server: str) -> None:
    come(page, server)
    page.get_by_role("button", name="Vanishing", exact=True).click()
    settled(page)
    chosen = page.get_by_role("toolbar", name="Cells").locator("[aria-pressed=true]")
    until(chosen.all_inner_texts, lambda texts: set(texts) == {"tanh", "sigmoid"}, "the preset's cells are chosen")
    until(lambda: address(page), lambda url: "cell=" in url, "the address names the cells")
    come(page, address(page))
    until(chosen.all_inner_texts, lambda texts: set(texts) == {"tanh", "sigmoid"}, "the link chooses the cells again")


def test_watch_zoom_stop_reload_change_and_run_again(page: Page, server: str, errors: list[str]) -> None:
    come(page, f"{server}/?{LONG}")
    page.get_by_role("button", name="Run 2 networks").click()
    profile = figure(page, "profile")
    learning = figure(page, "learning")

    before = drawn(learning)
    until(lambda: drawn(learning), lambda now: now["points"] > before["points"], "the lines move while it trains")

    whole = until(lambda: drawn(profile), lambda now: now["points"] > 0, "the profile has its line")
    mark(profile)
    zoom(page, profile)
    zoomed = until(lambda: drawn(profile), lambda now: now["x"] != whole["x"], "the zoom is seen", 10)
    figure(page, "profile").locator(".legendtoggle").first.click()
    hidden = until(lambda: drawn(profile), lambda now: now["hidden"] > 0, "a line is hidden by its legend", 10)
    version = hidden["version"]
    later = until(lambda: drawn(profile), lambda now: now["version"] != version, "the figure is refreshed")
    assert later["mark"] == "same node"
    assert later["x"] == zoomed["x"]
    assert later["hidden"] == hidden["hidden"]

    page.get_by_role("button", name=re.compile("^stop Stop tanh|^Stop tanh")).click()
    until(lambda: states(page), lambda now: now[0] == "stopped", "the run is stopped")
    page.reload()
    settled(page)
    until(lambda: states(page), lambda now: now[:1] == ["stopped"], "the stopped run is there after a reload")
    page.get_by_role("button", name=re.compile("Stop GRU")).click()
    until(lambda: states(page), lambda now: now == ["stopped", "stopped"], "both are stopped")
    first = address(page)

    page.get_by_role("toolbar", name="Clipping").get_by_text("by norm").click()
    page.get_by_role("toolbar", name="Clipping").get_by_text("off").click()
    settled(page)
    page.get_by_text("More", exact=True).click()
    fill(page, "Steps", "40")
    fill(page, "Record every", "1")
    page.get_by_role("button", name="Run 2 networks").click()
    until(lambda: states(page), lambda now: now == ["finished", "finished"], "the second comparison is trained")
    assert address(page) != first
    expect(page.get_by_role("heading", name=re.compile("no clipping"))).to_be_visible()
    assert errors == []
