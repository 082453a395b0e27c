"""What a person does on the page Learn: goes the whole path, predicts at every stop, and trains at one."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.person import address, come, settled, until
from ui.learn import path

STOPS = list(path.PATH)
OUTCOME = re.compile("As you predicted|You predicted")


def answers(page: Page) -> Locator:
    """The answers that a stop offers to its question."""
    return page.get_by_role("radiogroup", name=re.compile("^Predict first"))


def predict(page: Page, place: int = 0) -> None:
    """Choose an answer and commit to it."""
    answers(page).locator("label").nth(place).click()
    commit = page.get_by_role("button", name="This is my prediction")
    expect(commit).to_be_enabled()
    commit.click()
    settled(page)


def asked(page: Page) -> dict[str, str]:
    """The address's parameters."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address(page)).query).items()}


def serious(page: Page) -> list[tuple[str, list[str]]]:
    """Accessibility violations that are serious or worse."""
    return [
        (violation["id"], [node["html"][:200] for node in violation["nodes"][:3]])
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_the_whole_path_is_walked_stop_by_stop(page: Page, server: str, errors: list[str]) -> None:
    come(page, f"{server}/learn")
    for place, slug in enumerate(STOPS):
        if place:
            onward = page.locator("[class*=st-key-learn-onward]").get_by_role("link", name=path.PATH[slug])
            onward.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"{place + 1} · {path.PATH[slug]}", timeout=30_000)
        settled(page)
        until(lambda: asked(page).get("stop"), lambda stop, slug=slug: stop == slug, "the address names the stop")
        expect(page.get_by_text("What comes out is shown once you have predicted it.")).to_be_visible()
        expect(page.get_by_text("What to see")).to_have_count(0)
        predict(page, place % 2)
        expect(page.get_by_test_id("stAlert").filter(has_text=OUTCOME).first).to_be_visible(timeout=60_000)
        expect(page.get_by_text("What to see").first).to_be_visible()
        expect(page.locator("[data-testid=stException]")).to_have_count(0)
        expect(page.get_by_text("cannot be")).to_have_count(0)
    expect(page.get_by_text(f"{len(STOPS)} of {len(STOPS)} done")).to_be_visible()
    assert errors == []


def test_at_a_stop_networks_are_trained_and_compared_with_the_prediction(
    page: Page, server: str, errors: list[str]
) -> None:
    come(page, f"{server}/learn?stop=dependencies&longest=10&cells=tanh")
    run = page.get_by_role("button", name="Run 2 networks")
    expect(run).to_be_disabled()
    predict(page, 3)
    expect(run).to_be_enabled()
    run.click()
    until(lambda: asked(page), lambda now: "comparison" in now, "the address names the runs")
    alert = page.get_by_test_id("stAlert").filter(has_text=OUTCOME)
    expect(page.get_by_text("Recorded example")).to_have_count(0, timeout=30_000)
    expect(alert).to_be_visible(timeout=90_000)
    expect(alert).to_contain_text("At gap 10: tanh")
    told = alert.inner_text()
    come(page, address(page))  # as a link that somebody was given
    expect(alert).to_have_text(re.compile(re.escape(told.split("At gap")[-1][:20])))
    page.get_by_role("button", name="The same in the Lab").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("gradient", timeout=30_000)
    settled(page)
    until(lambda: asked(page).get("gap"), lambda gap: gap == "4,10", "the Lab asks for the same")
    assert errors == []


def test_a_stop_goes_by_keyboard_and_gives_its_report(page: Page, server: str) -> None:
    come(page, f"{server}/learn?stop=truncation")
    options = answers(page).get_by_role("radio")
    options.first.focus()
    page.keyboard.press("Space")
    expect(options.first).to_be_checked()
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_be_checked()
    commit = page.get_by_role("button", name="This is my prediction")
    expect(commit).to_be_enabled()
    commit.focus()
    page.keyboard.press("Enter")
    settled(page)
    expect(page.get_by_text("As you predicted: Those whose chunk")).to_be_visible()
    page.get_by_role("button", name="Export").click()
    with page.expect_download(timeout=60_000) as waited:
        page.get_by_role("button", name="Report").click()
    text = waited.value.path().read_text(encoding="utf-8")
    assert "Predicted and found" in text
    assert text.count('class="plot"') >= 4


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_no_serious_accessibility_violation(page: Page, server: str) -> None:
    # Looked at again while something is found: an element that fades in is faint for a moment.
    for slug in ("dependencies", "cures"):
        come(page, f"{server}/learn?stop={slug}")
        until(lambda: serious(page), lambda found: not found, f"{slug}, before the prediction, has no violation", 15)
        predict(page)
        page.locator(".live-figure-plot svg.main-svg").first.wait_for(timeout=60_000)
        settled(page)
        until(lambda: serious(page), lambda found: not found, f"{slug}, after the prediction, has no violation", 15)
