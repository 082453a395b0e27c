"""What the tests take a person's page to be."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, TimeoutError, expect

from tests.browser.person import settled

OUR_GREY = "rgb(84, 91, 104)"


def test_a_page_has_settled_only_when_its_style_is_in_place(page: Page, server: str) -> None:
    held: list[Route] = []
    page.route("**/static/js/Html.*.js", lambda route: held.append(route))
    page.goto(f"{server}/your-model?view=attach")
    caption = page.get_by_text("Nothing is recorded unless")
    expect(caption).to_be_visible()
    with pytest.raises(TimeoutError):
        settled(page, seconds=2)
    assert len(held) == 1
    expect(caption).not_to_have_css("color", OUR_GREY)

    held[0].continue_()
    settled(page)
    expect(caption).to_have_css("color", OUR_GREY, timeout=1)
