"""Taking away figures and data, and bringing them back in."""

from __future__ import annotations

import zipfile
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from diagnostics.export.images import unavailable
from diagnostics.store import Store
from tests.browser.person import come, figure, settled

Trained = tuple[str, list[str]]


def download(page: Page, button: Locator, folder: Path) -> Path:
    """Press a button and keep what it gives."""
    with page.expect_download(timeout=60_000) as waiting:
        button.click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def upload(page: Page) -> Locator:
    """Where a file is given: in a popover where any run is stored, which others may have left, else on the page.

    Looked for once the page is still: the first import moves the field from the page into the popover, and a file that
    is put into the old one in that moment is gone with it.
    """
    settled(page)
    field, opener = page.locator("input[type=file]"), page.get_by_role("button", name="Import")
    field.or_(opener).first.wait_for(state="attached")
    if not field.count():
        opener.click()
    return field


def test_every_figure_gives_png_and_svg_with_nothing_installed(
    page: Page, server: str, trained: Trained, tmp_path: Path
) -> None:
    come(page, f"{server}/?comparison={trained[0]}")
    profile = figure(page, "profile")
    card = page.locator("[class*='st-key-figure-profile-c-']").first
    png = download(page, card.get_by_role("button", name="as a PNG image"), tmp_path)
    assert png.suffix == ".png"
    assert png.read_bytes().startswith(b"\x89PNG")
    svg = download(page, card.get_by_role("button", name="as an SVG image"), tmp_path)
    assert svg.suffix == ".svg"
    assert b"<svg" in svg.read_bytes()[:200]
    profile.hover()
    camera = download(page, card.locator("[data-title*='PNG']"), tmp_path)
    assert camera.read_bytes().startswith(b"\x89PNG")
    assert card.locator("[data-title*='hare']").count() == 0  # nothing that would upload


def test_the_export_panel_gives_pages_tables_and_the_bundle_and_the_bundle_comes_back(
    page: Page, server: str, store: Store, trained: Trained, tmp_path: Path
) -> None:
    comparison, run_ids = trained
    come(page, f"{server}/?comparison={comparison}")
    figure(page, "profile")
    page.get_by_role("button", name="Export").click()
    panel = page.get_by_test_id("stPopoverBody")

    html = download(page, panel.get_by_role("button", name="HTML"), tmp_path)
    assert "Plotly" in html.read_text()
    if unavailable():
        expect(panel.get_by_text("Chromium")).to_be_visible()
    else:
        pdf = download(page, panel.get_by_role("button", name="PDF"), tmp_path)
        assert pdf.read_bytes().startswith(b"%PDF")
    steps = download(page, panel.get_by_role("button", name="Steps"), tmp_path)
    assert len(steps.read_text().splitlines()) == 32  # a header, 30 steps and the measurement after the last
    report = download(page, panel.get_by_role("button", name="Report"), tmp_path)
    assert "Small comparison" in report.read_text()
    bundle = download(page, panel.get_by_role("button", name="Bundle"), tmp_path)
    assert {name for name in zipfile.ZipFile(bundle).namelist() if name.endswith(".sqlite")} == {
        f"runs/{run_id}/run.sqlite" for run_id in run_ids
    }

    store.delete(run_ids)
    store.purge(run_ids)
    come(page, f"{server}/?comparison={comparison}")
    expect(page.get_by_text("There is no comparison")).to_be_visible()
    come(page, f"{server}/runs")
    upload(page).set_input_files(bundle)
    expect(page.get_by_text("Imported 2 runs")).to_be_visible(timeout=30_000)
    assert len(store.runs()) >= 2

    hostile = tmp_path / "hostile.zip"
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("../../escaped.txt", "no")
    upload(page).set_input_files(hostile)
    alert = page.get_by_role("alert").filter(has_text="bundle")
    expect(alert).to_be_visible(timeout=30_000)
    settled(page)
