"""What a person does on the Inspect page: from a run in the Lab to the reasons, and that everybody can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from diagnostics.inspection import load
from diagnostics.store import Store
from tests.browser.conftest import SMALL
from tests.browser.person import address, come, drawn, figure, settled, states, until
from tests.browser.test_exports import download
from ui.inspect.views import VIEWS

Trained = tuple[str, list[str]]


def ask(page: Page, view: str) -> None:
    """Press a question's button, and wait until the page answers it: what is done at once would come before it."""
    page.get_by_role("radio", name=view, exact=True).click()
    question = next(one.question for one in VIEWS.values() if one.title == view)
    expect(page.get_by_role("heading", name=question)).to_be_visible(timeout=60_000)
    settled(page)


def test_train_inspect_look_through_the_views_and_take_it_away(
    page: Page, server: str, store: Store, errors: list[str], tmp_path: Path
) -> None:
    come(page, f"{server}/?{SMALL}&cell=lstm&steps=30")
    page.get_by_role("button", name="Run", exact=True).click()
    until(lambda: states(page), lambda now: now == ["finished"], "the run is trained")
    page.get_by_role("button", name="Inspect", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Why does the gradient die?")
    settled(page)
    run_id = store.runs()[0].id
    until(lambda: address(page), lambda url: f"run={run_id}" in url, "the address names the run")

    page.get_by_test_id("stSidebar").get_by_role("button", name="Inspect", exact=True).click()
    figure(page, "theory", "inspect")
    figure(page, "eigenvalues", "inspect")
    expect(page.get_by_text("after 30 of 30 updates, 4 held-out samples")).to_be_visible()

    for view, key in (
        ("Jacobians", "singular_values"),
        ("States and gates", "states"),
        ("Weight gradient", "weight_gradient"),
        ("Answers", "itemised"),
        ("Truncation", "truncation"),
        ("Parameters", "parameters"),
        ("Before training", "untrained"),
    ):
        ask(page, view)
        assert drawn(figure(page, key, "inspect"))["version"]
    before = drawn(figure(page, "untrained", "inspect"))["version"]
    page.get_by_role("toolbar", name="Cells").get_by_text("sigmoid").click()
    until(lambda: drawn(figure(page, "untrained", "inspect"))["version"], lambda v: v != before, "a line is added")

    ask(page, "States and gates")
    page.reload()
    settled(page)
    figure(page, "states", "inspect")  # what is kept is there at once
    page.get_by_role("button", name="Export").click()
    panel = page.get_by_test_id("stPopoverBody")
    html = download(page, panel.get_by_role("button", name="HTML"), tmp_path)
    assert "Plotly" in html.read_text()
    table = download(page, panel.get_by_role("button", name="CSV"), tmp_path)
    assert table.read_text().startswith("layer,timestep,sample,unit,h")
    found = load(download(page, panel.get_by_role("button", name="NPZ"), tmp_path))
    told = json.loads(download(page, panel.get_by_role("button", name="JSON"), tmp_path).read_text())
    assert found.run_id == told["run"] == run_id
    assert set(found) == set(told["quantities"])
    assert errors == []


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_no_serious_accessibility_violation(page: Page, server: str, store: Store, trained: Trained) -> None:
    _, (first, other) = trained
    found = []
    come(page, f"{server}/inspect?run={first}&with={other}")
    inspect = page.get_by_test_id("stSidebar").get_by_role("button", name="Inspect", exact=True)
    if inspect.is_enabled():
        inspect.click()
    figure(page, "theory", "inspect")
    for view in ("Theory", "Jacobians", "States and gates", "Answers", "Parameters", "Before training"):
        ask(page, view)
        page.locator(".live-figure-plot svg.main-svg").first.wait_for()
        for summary in page.get_by_text("How to read this").all()[:1]:
            summary.click()
        settled(page)
        found += [
            (view, violation["id"], [node["html"][:200] for node in violation["nodes"][:3]])
            for violation in Axe().run(page).response["violations"]
            if violation["impact"] in ("serious", "critical")
        ]
    assert not found, found
