"""The report and the single figure: whole, offline, and deaf to hostile names."""

import base64
import hashlib
import html.parser
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diagnostics.export.gallery import drawings
from diagnostics.export.html import figure_html
from diagnostics.export.page import escape
from diagnostics.export.report import report_html
from diagnostics.records import Records, Run


class Elements(html.parser.HTMLParser):
    """Every start tag with its attributes, and every script's text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.words.append(data)


@pytest.fixture
def runs(run_maker: Callable[..., Run]) -> list[Run]:
    return [run_maker("r-1"), run_maker("r-2", name="GRU", seed=1)]


def test_every_figure_is_there_in_light_and_dark(runs: list[Run]) -> None:
    page = Elements(report_html(runs, title="A comparison"))
    ids = [attributes["id"] for tag, attributes in page.tags if tag == "script" and "id" in attributes]
    keys = [drawing.key for drawing in drawings(runs)]
    assert ids == [f"{theme}-{key}" for theme in ("light", "dark") for key in keys]
    assert [a["data-figure"] for _, a in page.tags if "data-figure" in a] == keys
    assert {"ribbon", "profile", "learning", "clipping", "heatmap-r-1"} <= set(keys)
    assert "heatmap-r-2" not in keys  # two seeds of one run: their median
    assert "heatmap-r-2" in [drawing.key for drawing in drawings(runs, over_seeds=False)]
    assert sum(tag == "div" and a.get("role") == "group" and bool(a.get("aria-label")) for tag, a in page.tags) == len(
        keys
    )
    for text in page.scripts[: len(ids)]:
        assert {"data", "layout"} <= json.loads(text).keys()


def test_nothing_of_a_hostile_name_becomes_markup(runs: list[Run]) -> None:
    text = report_html(runs, title="</title><script>alert(2)</script>")
    page = Elements(text)
    assert sum(tag == "script" for tag, _ in page.tags) == 2 * len(drawings(runs)) + 2
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert '=HYPERLINK("http://evil.example","x")</script><script>alert(1)</script>' in "".join(page.words)
    text.encode("utf-8")  # the lone surrogate of the name has gone


def test_only_our_own_scripts_may_run_and_nothing_may_load(runs: list[Run]) -> None:
    page = Elements(report_html(runs))
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    code = page.scripts[-2:]
    assert [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in code] == allowed
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert not [a for _, a in page.tags if "src" in a or "href" in a]
    assert "showSendToCloud: false" in code[-1]


def test_the_words_and_numbers_are_there(runs: list[Run]) -> None:
    words = " ".join(Elements(report_html(runs, title="A comparison", created_s=0.0)).words)
    for wanted in (
        "A comparison",
        "1970-01-01 00:00 UTC",
        "2 runs",
        "How to read this",
        "What differs",
        "seed",
        "2.13.0",
    ):
        assert wanted in words


def test_a_run_that_recorded_nothing_is_reported(runs: list[Run]) -> None:
    empty = Run("r-3", "waiting", "queued", {"cell": "lstm"}, None, Records.empty())
    page = Elements(report_html([empty, *runs]))
    assert not [a for _, a in page.tags if "r-3" in (a.get("data-figure") or "")]
    words = " ".join(page.words)
    assert "Without a figure of its own, because no gradient was recorded: waiting." in words
    assert "Never begun, so without versions: waiting." in words
    assert words.count("What differs") == 1  # the versions are those of the runs that have any
    alone = Elements(report_html([empty]))
    assert "waiting — No verdict" in "".join(alone.words)
    assert not alone.scripts


def test_a_report_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="runs must be at least one, but got none"):
        report_html([])


def test_text_is_escaped_for_elements_and_attributes() -> None:
    assert escape("<a b=\"c\" d='e'>&\0\ud800") == "&lt;a b=&quot;c&quot; d=&#x27;e&#x27;&gt;&amp;�?"


def opened(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str]]:
    """The page once its figures are drawn, and what went wrong in it."""
    page = browser.new_page(**options)
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: trouble.append(request.url) if request.url.startswith("http") else None)
    page.on("dialog", lambda dialog: trouble.append("a dialog"))
    page.goto(path.as_uri())
    return page, trouble


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_draws_offline_in_a_browser(browser: Any, runs: list[Run], tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(report_html(runs, title="<img src=x onerror=alert(1)>"), encoding="utf-8")
    page, trouble = opened(browser, path, color_scheme=scheme)
    plots = page.locator(".plot .main-svg:first-child")
    assert plots.count() == len(drawings(runs))
    assert page.title() == "<img src=x onerror=alert(1)>"
    paper = page.evaluate("document.querySelector('.plot').layout.template.layout.paper_bgcolor")
    assert (paper == "#FFFFFF") == (scheme == "light")
    buttons = page.locator(".plot").first.locator(".modebar-btn").evaluate_all("b => b.map(e => e.dataset.title)")
    assert "Download as SVG" in buttons
    assert not [title for title in buttons if "cloud" in title.lower() or "Produced" in title]
    with page.expect_download() as download:
        page.locator(".plot").first.locator("[data-title='Download as SVG']").dispatch_event("click")
    assert download.value.suggested_filename == "ribbon.svg"
    assert not trouble
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    "options", [{"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}], ids=["dark", "phone"]
)
def test_the_report_breaks_no_rule_of_accessibility(
    browser: Any, runs: list[Run], tmp_path: Path, options: dict[str, Any]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "report.html"
    path.write_text(report_html(runs), encoding="utf-8")
    page, _ = opened(browser, path, bypass_csp=True, **options)
    found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    assert not [(v["id"], v["nodes"][0]["html"][:200]) for v in found]
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_table_of_the_report_is_cut_off_on_a_screen_of_1440(
    browser: Any, runs: list[Run], tmp_path: Path, scheme: str
) -> None:
    versions = {
        "gradreach": "0.1.0", "python": "3.11.7", "numpy": "2.4.6", "torch": "2.13.0+cpu", "threads": "1",
        "platform": "Linux-6.18.44-fc-v595-x86_64-with-glibc2.36", "processor": "x86_64", "device": "cpu",
    }  # fmt: skip
    others = {name: f"{said}1" for name, said in versions.items()}
    differing = [replace(run, versions=said) for run, said in zip(runs, (versions, others), strict=True)]
    path = tmp_path / "report.html"
    path.write_text(report_html(differing), encoding="utf-8")
    for width in (1440, 390):
        page, _ = opened(browser, path, color_scheme=scheme, viewport={"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        cut = page.locator(".card.scroll").evaluate_all("all => all.filter(e => e.scrollWidth > e.clientWidth).length")
        assert (cut == 0) == (width == 1440)  # on a phone tables scroll in their cards
        page.close()


@pytest.mark.browser
def test_one_figure_draws_offline_in_a_browser(browser: Any, runs: list[Run], tmp_path: Path) -> None:
    path = tmp_path / "figure.html"
    drawing = drawings(runs)[0]
    path.write_text(figure_html(drawing.figure, drawing.title, note=drawing.how_to_read), encoding="utf-8")
    page, trouble = opened(browser, path)
    assert page.locator(".plot .main-svg").count() >= 1
    assert page.title() == drawing.title
    assert drawing.how_to_read in page.inner_text("main")
    assert not trouble
    page.close()
