import pytest

from diagnostics.measures import numbers
from ui import words


@pytest.mark.parametrize("share", [0.0, 0.0004, 0.004, 1 / 12, 0.5, 0.996, 0.9999, 1.0])
def test_a_share_reads_in_the_verdicts_row_as_it_does_in_its_sentence(share: float) -> None:
    assert words.percent(share) == numbers.percent(share)
    assert (words.percent(share) == "100 %") == (share == 1.0)
    assert (words.percent(share) == "0 %") == (share == 0.0)
