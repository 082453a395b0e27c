"""What a practitioner does: watches their own training live on the page, beside the Lab's, and brings a checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect
from torch import nn

from diagnostics.store import Store
from experiments.watched import is_watched
from tests.browser.conftest import ROOT
from tests.browser.person import address, come, drawn, figure, settled, states, until

PROGRAM = Path(__file__).parent / "watched_program.py"
Trained = tuple[str, list[str]]


@pytest.fixture
def train(store: Store, tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """Somebody's own program: let it make so many steps more; 0 lets it end."""
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM)],
        cwd=ROOT,
        env={**os.environ, "GRADREACH_STORE": str(store.path), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
    )
    stdin: IO[str] | None = process.stdin
    assert stdin is not None

    def more(steps: int) -> None:
        assert process.poll() is None, (tmp_path / "log").read_text()
        if not steps:
            stdin.close()
            assert process.wait(60) == 0, (tmp_path / "log").read_text()
            return
        stdin.write(f"{steps}\n")
        stdin.flush()

    yield more
    process.kill()
    process.wait()
    stdin.close()
    log.close()
    left = [row.id for row in store.runs() if is_watched(row.spec)]
    store.delete(left)
    store.purge(left)


def names(plot: Locator) -> list[str]:
    found: list[str] = plot.evaluate("node => node._fullData.filter(t => t.showlegend).map(t => t.name)")
    return found


def test_a_training_loop_appears_live_and_lies_over_the_lab_s_runs(
    page: Page, server: str, store: Store, trained: Trained, train: Callable[[int], None], errors: list[str]
) -> None:
    come(page, f"{server}/your-model")
    expect(page.get_by_text("Nothing has been watched yet")).to_be_visible()
    train(20)
    until(
        lambda: states(page),
        lambda now: now == ["watching"] * 3,
        "the three parts of the model are there by themselves",
    )
    expect(page.get_by_text("Nothing has been watched yet")).to_have_count(0)
    heat = figure(page, "heatmap", "watched-")
    before = drawn(heat)
    train(20)
    until(
        lambda: drawn(figure(page, "heatmap", "watched-")), lambda now: now != before, "the figures follow the training"
    )
    settled(page)

    beside = page.get_by_role("combobox", name="Beside runs of the Lab")
    beside.click()
    page.get_by_role("option", name="tanh").first.click()
    settled(page)
    page.keyboard.press("Escape")
    until(lambda: states(page), lambda now: len(now) == 4, "a run of the Lab is beside them")
    profile = figure(page, "profile", "watched-")
    until(lambda: names(profile), lambda now: len(now) == 4 and "tanh" in now[-1], "its line lies over the others")
    train(0)
    until(lambda: states(page), lambda now: now[:3] == ["finished"] * 3, "the page hears that the training has ended")
    settled(page)
    expect(page.get_by_text("is watched").first).to_be_visible()  # what is watched of the model

    link = address(page)
    page.get_by_role("button", name="Open in Runs").click()
    expect(page.get_by_role("heading", level=1, name="Runs")).to_be_visible()
    settled(page)
    until(lambda: states(page), lambda now: len(now) == 4, "all four are seen together on Runs")
    come(page, link)
    until(lambda: states(page), lambda now: len(now) == 4, "the link brings them back")
    assert errors == []


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_no_serious_accessibility_violation(page: Page, server: str, tmp_path: Path) -> None:
    found = []
    for view in ("attach", "checkpoint", "runs"):
        come(page, f"{server}/your-model?view={view}")
        if view == "checkpoint":
            bring(page, tmp_path / "model.pt", nn.LSTM(2, 4, 2, bidirectional=True).state_dict())
            figure(page, "checkpoint", "probe")
        settled(page)
        violations = Axe().run(page).response["violations"]
        found += [
            (view, violation["id"], [node["html"][:200] for node in violation["nodes"][:3]])
            for violation in violations
            if violation["impact"] in ("serious", "critical")
        ]
    assert not found, found


def bring(page: Page, path: Path, what: object) -> None:
    torch.save(what, path)
    settled(page)
    page.locator("input[type=file]").set_input_files(path)


def test_a_checkpoint_is_probed_and_a_model_with_code_is_refused(
    page: Page, server: str, tmp_path: Path, errors: list[str]
) -> None:
    come(page, f"{server}/your-model?view=checkpoint")
    expect(page.get_by_text("Code is never uploaded")).to_be_visible()
    bring(page, tmp_path / "model.pt", {"state_dict": nn.RNN(2, 8, 2).state_dict()})
    plot = figure(page, "checkpoint", "probe")
    settled(page)
    assert names(plot) == ["layer 1", "layer 2"]
    was = drawn(plot)["version"]
    page.get_by_text("relu", exact=True).click()
    until(
        lambda: drawn(figure(page, "checkpoint", "probe"))["version"], lambda now: now != was, "it is probed as a ReLU"
    )
    settled(page)
    page.get_by_role("button", name="Remove model.pt").click()
    expect(page.locator(".live-figure-plot")).to_have_count(0)  # a file that comes while one is going may go with it
    settled(page)
    bring(page, tmp_path / "whole.pt", nn.RNN(2, 8))
    expect(page.get_by_role("alert")).to_contain_text("holds more than weights (it asks for torch.nn.modules.rnn.RNN)")
    assert errors == []


def test_the_lines_can_be_copied(page: Page, server: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server)
    come(page, f"{server}/your-model?view=attach")
    block = page.get_by_test_id("stCode").filter(has_text="with watch(model").first
    block.hover()
    block.get_by_role("button", name="Copy to clipboard").click()
    copied = until(lambda: page.evaluate("navigator.clipboard.readText()"), bool, "the lines are copied")
    assert copied.startswith("from diagnostics import watch\n")
