"""The table of a sentence's words and what networks say of them."""

from __future__ import annotations

from ui.learn.tagged import Cell, table


def test_each_word_has_its_column_and_what_is_said_loudly_says_how_sure_it_is() -> None:
    said = table(
        ["Jordan", "lives"],
        [("two directions", [Cell("person", 0.987, True, "Jordan: person 99 %"), Cell("·", 1.0, False)])],
        marked=0,
    )
    assert said.count('<th scope="col"') == 2
    assert said.count("<td") == 3
    assert said.count("border-bottom:2px") == 1
    assert "<strong>person</strong>" in said
    assert "99 %" in said
    assert 'title="Jordan: person 99 %"' in said
    assert "100 %" not in said


def test_nothing_in_it_is_read_as_markup() -> None:
    said = table(["<b>"], [("<i>", [Cell("<u>", 0.5, True, '"><script>')])])
    for markup in ("<b>", "<i>", "<u>", "<script>"):
        assert markup not in said
    assert "&lt;b&gt;" in said
