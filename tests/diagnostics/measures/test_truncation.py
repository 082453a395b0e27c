import math

import numpy as np
import pytest

from diagnostics.measures.truncation import chunk_lengths, chunks, cosine, relative_error


@pytest.mark.parametrize("steps", [1, 2, 7, 12])
@pytest.mark.parametrize("length", [1, 2, 5, 7, 12, 40])
def test_chunks_are_counted_back_from_the_end(steps: int, length: int) -> None:
    found = chunks(steps, length)
    assert [t for part in found for t in range(steps)[part]] == list(range(steps))
    sizes = [part.stop - part.start for part in found]
    assert sizes[1:] == [length] * (len(sizes) - 1)
    assert sizes[-1] == min(steps, length)


def test_absurd_chunks_are_refused() -> None:
    with pytest.raises(ValueError, match="steps and length must be at least 1, but got 5 and 0"):
        chunks(5, 0)


def test_the_last_length_is_the_whole() -> None:
    assert chunk_lengths(1).tolist() == [1]
    assert chunk_lengths(8).tolist() == [1, 2, 4, 8]
    assert chunk_lengths(45).tolist() == [1, 2, 4, 8, 16, 32, 45]


def test_cosine_and_error_of_known_vectors() -> None:
    one, other = np.array([3.0, 0.0]), np.array([[1.0], [1.0]])
    assert cosine(one, other) == pytest.approx(math.sqrt(0.5), rel=1e-14)
    assert cosine(one, -one) == -1
    assert relative_error(other, one) == pytest.approx(math.sqrt(5) / 3, rel=1e-14)
    assert relative_error(one, one) == 0


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_sizes_at_the_ends_of_the_range_change_nothing(size: float) -> None:
    one, other = np.array([3.0, 0.0]), np.array([1.0, 1.0])
    assert cosine(size * one, other) == pytest.approx(math.sqrt(0.5), rel=1e-14)
    assert relative_error(size * other, size * one) == pytest.approx(math.sqrt(5) / 3, rel=1e-14)


@pytest.mark.parametrize("broken", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_what_cannot_be_compared_is_not_a_number(broken: list[float]) -> None:
    assert math.isnan(cosine(np.array(broken), np.ones(2)))
    assert math.isnan(cosine(np.ones(2), np.array(broken)))
    assert math.isnan(relative_error(np.ones(2), np.array(broken)))
