"""A stop of the lecture as a page of its own."""

from __future__ import annotations

from diagnostics.export.gallery import chosen
from diagnostics.export.story import Story, prose, story_html
from tests.diagnostics.charts.samples import story


def test_prose_is_the_markdown_of_our_own_texts() -> None:
    assert prose("**Bold** and *not*, `code`.") == "<strong>Bold</strong> and <em>not</em>, <code>code</code>."
    assert prose("One.\n\nTwo.") == "One.</p><p>Two."
    assert prose(r"a\_b\*c \(x\) \&") == "a_b*c (x) &amp;"
    assert prose(r"**$h_{t-1}$** is *old*") == "<strong><i>h<sub>t-1</sub></i></strong> is <em>old</em>"
    assert prose(r"$W_{hy}$, $\hat y$, $\lambda^k$") == "<i>W<sub>hy</sub></i>, <i>y</i>, <i>λ<sup>k</sup></i>"
    assert prose("<script>alert(1)</script>") == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert prose('it\'s "so"') == "it&#x27;s &quot;so&quot;"


def test_the_page_has_every_part_and_the_figures_in_both_themes() -> None:
    runs = story(count=6)
    told = Story(
        "3 · A title", "Why?", "A *text*.", r"h_t = \tanh(x)", "$h$ state", ["Predicted: **x**."], ["It *did*."]
    )
    light, dark = (chosen(("profile", "heatmap"), runs, theme) for theme in ("light", "dark"))
    assert [drawing.figure_key for drawing in light] == ["profile"] + ["heatmap"] * len(runs)
    html = story_html(told, runs, light, dark, created_s=0.0)
    for part in (
        "<h1>3 · A title</h1>",
        "<msub><mi>h</mi><mi>t</mi></msub>",
        "Predicted: <strong>x</strong>.",
        "It <em>did</em>.",
    ):
        assert part in html
    assert html.count('id="light-') == html.count('id="dark-') == len(light)
    assert "<h2>Verdicts</h2>" in html


def test_without_runs_and_figures_it_is_a_page_still() -> None:
    html = story_html(Story("T", "Q", "t", r"\unheard_{of}", "l", [], []), [], [])
    assert r"<code>\unheard_{of}</code>" in html
    assert "Verdicts" not in html
    assert "What to see" not in html
    assert "</html>" in html
