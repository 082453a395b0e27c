from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.base import Wiring
from tasks.text import Text, overhead
from tests.tasks.losses import cross_entropy

WORDS = "the quick brown fox jumps over the lazy dog and runs away from the cat "


def text(gap: int = 3, wiring: Wiring = "many-to-many", of: str = "hello") -> Text:
    return Text(gap, overhead(gap), wiring, of)


def test_hello_is_the_lectures_example() -> None:
    task = text()
    assert task.vocabulary == ("h", "e", "l", "o")
    batch = task.batch(np.random.default_rng(0), 3)
    for index in range(3):
        assert "".join(task.vocabulary[t] for t in batch.inputs[:, index]) == "hell"
        assert "".join(task.vocabulary[t] for t in batch.targets[:, index]) == "ello"
    assert task.readable(batch, 1) == (("h", "e", "l", "l"), "o")
    assert (task.length, task.distance, task.kept_out) == (4, 3, False)
    facts = task.facts(np.random.default_rng(0))
    assert (facts.tokens, facts.loss_step, facts.informative_steps, facts.answer) == (
        ("h", "e", "l", "l"),
        3,
        (0,),
        "o",
    )


def test_without_memory_three_of_hellos_four_targets_can_be_right() -> None:
    """l is followed by l and by o: whoever sees only the newest character is right in 3 of 4 at best."""
    loss, success = text().pairs
    assert success == 0.75
    assert loss == pytest.approx(2 * math.log(2) / 4)
    assert text(wiring="many-to-one").pairs == (0.0, 1.0)  # one window: its last character decides


def test_knowing_nothing_is_to_say_the_commonest_character() -> None:
    task = text()  # the targets are e, l, l, o
    assert task.chance_success == 0.5
    assert task.chance_loss == pytest.approx(-(0.5 * math.log(0.5) + 0.5 * math.log(0.25)))


@settings(deadline=None, max_examples=40)
@given(
    of=st.text("abcd ", min_size=4, max_size=80).filter(lambda s: len(set(s)) > 1),
    share=st.floats(0, 1),
    many=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_windows_are_pieces_of_the_text_and_their_targets_one_place_on(
    of: str, share: float, many: bool, seed: int
) -> None:
    gap = int(share * (len(of) - 2))
    task = text(gap, "many-to-many" if many else "many-to-one", of)
    batch = task.batch(np.random.default_rng(seed), 6)
    for index in range(6):
        read = "".join(task.characters[t] for t in batch.inputs[:, index])
        due = batch.targets[:, index] if many else batch.targets[index : index + 1]
        assert read + task.characters[due[-1]] in of
        if many:
            assert "".join(task.characters[t] for t in due[:-1]) == read[1:]


@pytest.mark.parametrize("wiring", ["many-to-many", "many-to-one"])
@pytest.mark.parametrize("blind", [True, False])
def test_what_counting_gives_is_the_best_of_all_tables_over_every_window(wiring: Wiring, blind: bool) -> None:
    task = text(5, wiring, WORDS)
    starts = range(len(WORDS) - task.length)
    whole = task.encode(WORDS)
    inputs = np.stack([whole[s : s + task.length] for s in starts], axis=1)
    targets = np.stack([whole[s + 1 : s + task.length + 1] for s in starts], axis=1)
    if wiring == "many-to-one":
        inputs, targets = inputs[-1:], targets[-1:]
    inputs = 0 * inputs if blind else inputs
    counts = np.zeros((task.outputs, task.outputs))
    np.add.at(counts, (inputs.ravel(), targets.ravel()), 1)
    p = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    loss, success = (task.chance_loss, task.chance_success) if blind else task.pairs
    assert loss == pytest.approx(cross_entropy(p[inputs], targets), rel=1e-12)
    assert success == pytest.approx((p[inputs].argmax(-1) == targets).mean(), rel=1e-12)
    other = 0.99 * p + 0.01 / task.outputs
    assert cross_entropy(other[inputs], targets) > loss


def test_the_last_tenth_of_a_long_text_is_kept_out_of_training() -> None:
    long = WORDS * 40 + "zebra " * 60
    task = text(10, of=long)
    assert task.kept_out
    assert "kept-out tenth" in task.success_name
    held = len(long) // 10
    assert (len(task.training), len(task.measured)) == (len(long) - held, held)
    zebra = task.encode("z")[0]
    assert (task.measured == zebra).any()
    assert task.held_out(0, 400).inputs.max() <= task.measured.max()
    drawn = {tuple(window) for window in task.batch(np.random.default_rng(0), 3000).inputs.T}
    tail = "".join(task.characters[t] for t in task.measured)
    assert not any("".join(task.characters[t] for t in w) not in long[:-held] for w in drawn)
    same = task.held_out(3, 50)
    assert np.array_equal(same.inputs, task.held_out(3, 50).inputs)
    assert all("".join(task.characters[t] for t in window) in tail for window in same.inputs.T)
    assert math.isfinite(task.chance_loss)
    assert math.isfinite(task.pairs[0])
    assert not text(10, of=WORDS * 20).kept_out  # 1,420 characters: a tenth of them says too little


def test_what_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="gap must be at most 3 for a text of 5 characters, but got 4"):
        text(4)
    with pytest.raises(ValueError, match="text must have at least 2 different characters"):
        text(0, of="aaaa")
    with pytest.raises(ValueError, match="characters of the trained text, but got ␣"):
        text().encode("he llo")
    with pytest.raises(ValueError, match="size must be at least 1"):
        text().held_out(0, 0)
