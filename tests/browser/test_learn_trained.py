"""Every stop of Learn with its usual settings, trained in a real browser until what came out is there (minutes)."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from diagnostics.store import ENDED, Store
from tests.browser.person import address, come, settled, until
from tests.browser.test_learn import OUTCOME, asked, predict
from ui.learn import path

LONG_MS = 180_000
"""Training on a busy machine takes that long."""


def train(page: Page, server: str, store: Store, slug: str) -> None:
    """Predict at the stop, press Run where there is something to train, and wait until all of it is shown."""
    come(page, f"{server}/learn?stop={slug}")
    predict(page)
    run = page.get_by_role("button", name=re.compile(r"^Run( \d+ networks)?$"))
    if path.load(slug).specs(path.load(slug).usual):
        run.click()
        comparison = until(lambda: asked(page).get("comparison", ""), bool, "the address names the runs")
        # Asked of the store: until then the page may still show what came out of the recorded example.
        states = until(
            lambda: [row.state for row in store.runs(comparison=comparison)],
            lambda now: set(now) <= set(ENDED),
            "every run has ended",
            LONG_MS / 1000,
        )
        assert set(states) <= {"finished", "diverged"}
        expect(page.get_by_text("Recorded example")).to_have_count(0, timeout=LONG_MS)
    else:
        expect(run).to_have_count(0)
    expect(page.get_by_test_id("stAlert").filter(has_text=OUTCOME)).to_be_visible(timeout=LONG_MS)
    expect(page.get_by_test_id("stProgress")).to_have_count(0, timeout=LONG_MS)  # nothing is looked into any more
    expect(page.get_by_test_id("stSpinner")).to_have_count(0, timeout=LONG_MS)
    settled(page)


@pytest.mark.gates
@pytest.mark.timeout(600)
@pytest.mark.parametrize("slug", path.PATH)
def test_every_stop_trains_what_it_says_and_shows_what_came_out(
    page: Page, server: str, store: Store, errors: list[str], slug: str
) -> None:
    train(page, server, store, slug)
    expect(page.get_by_text("What to see").first).to_be_visible()
    alerts = page.get_by_test_id("stAlert")
    (told,) = until(alerts.all_inner_texts, lambda said: len(said) == 1, "what came out, and no complaint beside it")
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_text("Traceback")).to_have_count(0)
    plots = page.locator(".live-figure-plot")
    expect(plots.first).to_be_attached()
    for index in range(plots.count()):
        plots.nth(index).locator("svg.main-svg").first.wait_for(state="attached", timeout=60_000)
    come(page, address(page))  # as a link that somebody was given: the same, and nothing is trained again
    expect(alerts).to_have_text(re.compile(re.escape(told.split("\n")[-1][:40])))
    assert errors == []
