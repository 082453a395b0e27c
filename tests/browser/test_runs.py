"""What a person does on the Runs page, and that everybody can: accessibility in light and dark."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from diagnostics.store import Store
from tests.browser.person import address, come, figure, fill, settled, until

Trained = tuple[str, list[str]]


def test_choose_overlay_rename_delete_undo(page: Page, server: str, store: Store, trained: Trained) -> None:
    _, run_ids = trained
    come(page, f"{server}/runs")
    table = page.get_by_test_id("stDataFrame")
    box = table.bounding_box()
    assert box is not None
    for row in (1, 2):  # the tick boxes of the first two rows, below the header
        page.mouse.click(box["x"] + 16, box["y"] + 35 * row + 17)
        settled(page)
    until(lambda: address(page), lambda url: all(run_id in url for run_id in run_ids), "the address names both runs")
    profile = figure(page, "profile", "runs-")
    until(
        lambda: profile.evaluate("node => node._fullData.filter(t => t.showlegend).map(t => t.name)"),
        lambda names: len(names) == 2,
        "both runs are overlaid",
    )

    come(page, f"{server}/runs?runs={run_ids[0]}")
    page.get_by_role("button", name="Rename").click()
    fill(page, "New name", "*bold* [link](x) $1$")
    page.get_by_test_id("stPopoverBody").get_by_role("button", name="Rename").click()
    until(lambda: store.row(run_ids[0]).name, lambda name: name == "*bold* [link](x) $1$", "the new name is stored")
    expect(page.locator(".verdict-name").first).to_have_text("*bold* [link](x) $1$")

    page.get_by_role("button", name="Delete 1").click()
    until(lambda: store.row(run_ids[0]).deleted, lambda deleted: deleted, "the run is deleted")
    page.get_by_role("button", name="Undo").click()
    until(lambda: store.row(run_ids[0]).deleted, lambda deleted: not deleted, "the run is back")


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_no_serious_accessibility_violation(page: Page, server: str, trained: Trained) -> None:
    comparison, run_ids = trained
    found = []
    for query, of in (
        ("/", "example"),
        (f"/?comparison={comparison}&gap=100000&cell=nonsense", "c-"),
        (f"/runs?runs={','.join(run_ids)}", "runs-"),
    ):
        come(page, server + query)
        figure(page, "clipping", of)
        for summary in page.get_by_text("How to read this").all()[:1]:
            summary.click()
        settled(page)
        violations = Axe().run(page).response["violations"]
        found += [
            (query, violation["id"], [node["html"][:200] for node in violation["nodes"][:3]])
            for violation in violations
            if violation["impact"] in ("serious", "critical")
        ]
    assert not found, found


def test_keyboard_alone_reaches_run(page: Page, server: str) -> None:
    come(page, server)
    names: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''"))
        if "Run " in names[-1] and "networks" in names[-1]:
            break
    else:
        pytest.fail(f"Tab never came to Run: {names}")
    assert any("tanh" in name for name in names), names
