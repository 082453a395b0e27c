from dataclasses import replace

from diagnostics.export.report import report_html
from tests.diagnostics.charts.samples import facts_of, powers, run_of


def test_the_distance_is_said_to_be_the_farthest_where_informative_steps_differ() -> None:
    one = facts_of(9, 6)
    several = replace(one, informative_steps=(2, 5))
    said = [report_html([run_of(powers(0.9, 8), facts=facts)]) for facts in (one, several)]
    assert "depends on, 6 steps before the loss" in said[0]
    assert "depends on, as far as 6 steps before the loss" in said[1]
