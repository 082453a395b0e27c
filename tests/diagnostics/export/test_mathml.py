"""Equations in LaTeX as MathML."""

from __future__ import annotations

import re
from xml.dom.minidom import parseString

import pytest

from diagnostics.export.mathml import mathml


def inside(latex: str) -> str:
    """What stands in the outermost row."""
    found = mathml(latex)
    assert found is not None
    parseString(found)  # well formed
    return found.partition("<mrow>")[2].removesuffix("</mrow></math>")


@pytest.mark.parametrize(
    ("latex", "wanted"),
    [
        ("h_t", "<msub><mi>h</mi><mi>t</mi></msub>"),
        ("h_{t-1}^2", "<msubsup><mi>h</mi><mrow><mi>t</mi><mo>−</mo><mn>1</mn></mrow><mn>2</mn></msubsup>"),
        (r"\frac{a}{b}", "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>"),
        (r"\sum_t x", "<munder><mo>∑</mo><mi>t</mi></munder><mi>x</mi>"),
        (r"\tanh(x) \le 0.5", "<mi>tanh</mi><mo>(</mo><mi>x</mi><mo>)</mo><mo>≤</mo><mn>0.5</mn>"),
        (r"\operatorname{diag}a, \text{if so}", "<mi>diag</mi><mi>a</mi><mo>,</mo><mtext>if so</mtext>"),
        (r"\hat y f'", '<mover accent="true"><mi>y</mi><mo>^</mo></mover><mi>f</mi><mo>′</mo>'),
        (r"\mathcal{L} \big| < 1", "<mi>ℒ</mi><mo>|</mo><mo>&lt;</mo><mn>1</mn>"),
    ],
)
def test_each_part_becomes_its_element(latex: str, wanted: str) -> None:
    assert inside(latex) == wanted


def test_an_environment_becomes_a_table() -> None:
    found = inside(r"\begin{aligned} a &= b \\[6pt] c &= d \end{aligned}")
    assert found.count("<mtr>") == 2
    assert found.count("<mtd ") == 4


@pytest.mark.parametrize(
    "latex",
    [r"\unheard x", "{a", "a}", "a_", r"\frac{a}", r"\begin{aligned} a", r"\mathcal{Q}", "a & b", r"\end{gathered}"],
)
def test_what_is_not_known_or_not_whole_is_none(latex: str) -> None:
    assert mathml(latex) is None


def test_the_latex_is_what_a_screen_reader_may_say_and_nothing_of_it_is_markup() -> None:
    found = mathml('a < b \\text{"<script>"}')
    assert found is not None
    assert "<script>" not in found
    assert 'alttext="a &lt; b' in found


def test_lines_meet_at_their_relation_and_what_stands_alone_is_in_the_middle() -> None:
    aligned = mathml(r"\begin{aligned} h_t &= x_t \\ s_0 &= h_S \end{aligned}")
    assert re.findall(r"text-align: -webkit-(\w+)", aligned or "") == ["right", "left"] * 2
    gathered = mathml(r"\begin{gathered} h_t = x_t \\ s_0 = h_S \end{gathered}")
    assert re.findall(r"text-align: (\w+)", gathered or "") == []
