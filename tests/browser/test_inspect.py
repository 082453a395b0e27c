"""What a person does on the Inspect page: from a run in the Lab to the reasons, and that everybody can."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from diagnostics.store import Store
from tests.browser.person import come, figure, settled

Trained = tuple[str, list[str]]


def ask(page: Page, view: str) -> None:
    """Press a question's button."""
    page.get_by_role("radio", name=view, exact=True).click()
    settled(page)


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
