"""A sweep and seeds in a real browser, trained by real workers: started, stopped, taken up again after a reload."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from diagnostics.store import Store
from experiments.queue import Queue
from experiments.spec import expand
from tests.browser.person import address, come, drawn, figure, settled, until

SOON_MS, TRAINED_MS = 30_000, 180_000


def type_into(page: Page, label: str, text: str, role: str = "textbox") -> None:
    field = page.get_by_role(role, name=label, exact=True)  # type: ignore[arg-type]
    field.fill(text)
    field.press("Tab")
    settled(page)


def test_a_sweep_is_started_stopped_and_taken_up_again(
    page: Page, server: str, store: Store, errors: list[str]
) -> None:
    come(page, f"{server}/clipping?view=sweep")
    setup = page.locator(".st-key-sweep-setup details")
    setup.wait_for(timeout=SOON_MS)
    if setup.get_attribute("open") is None:  # it stands open only where no sweep is stored yet
        setup.locator("summary").click()
    page.get_by_role("textbox", name="Thresholds", exact=True).wait_for(timeout=SOON_MS)
    type_into(page, "Thresholds", "0.1, 1")
    type_into(page, "Seeds", "0")
    type_into(page, "Steps", "800", "spinbutton")
    page.get_by_role("button", name="Start 5 runs").click()
    page.get_by_role("button", name="Stop all").click(timeout=SOON_MS)
    resume = page.get_by_role("button", name="Resume: train the other")
    expect(resume).to_be_visible(timeout=SOON_MS)
    until(lambda: address(page), lambda url: "sweep=c-" in url, "the sweep is in the address", 10)
    page.reload()
    settled(page)
    expect(resume).to_be_visible(timeout=SOON_MS)
    resume.click()
    expect(page.get_by_text("All 5 runs have ended.")).to_be_visible(timeout=TRAINED_MS)
    assert len(store.runs(comparison=store.runs()[0].comparison)) == 5
    for key in ("sweep", "sweep_map"):
        assert drawn(figure(page, key))["points"] > 0
    expect(page.get_by_text("tanh:").first).to_be_visible()
    assert errors == []


def test_seeds_are_one_line_or_each_its_own(page: Page, server: str, store: Store, errors: list[str]) -> None:
    specs = expand(cells=["tanh"], seeds=[0, 1, 2], gap=8, hidden=8, embedding=8, batch=8, steps=30)
    queue = Queue(store)
    comparison, ids = queue.submit(specs, "Three seeds")
    until(
        lambda: [queue.progress(i).state for i in ids], lambda seen: set(seen) == {"finished"}, "the seeds are trained"
    )
    come(page, f"{server}/?comparison={comparison}")
    rows = page.locator(".verdict-row")
    expect(rows).to_have_count(1, timeout=SOON_MS)
    expect(rows.first).to_contain_text("3 of 3")
    together = drawn(figure(page, "profile"))["points"]
    page.get_by_text("Each run", exact=True).click()
    expect(rows).to_have_count(3, timeout=SOON_MS)
    until(lambda: drawn(figure(page, "profile"))["points"], lambda points: points != together, "other lines are drawn")
    assert errors == []
