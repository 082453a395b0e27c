"""Encoder and decoder in NumPy against torch and its instrumented backward, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.cells import CELLS
from models.encoder_decoder import EncoderDecoder
from models.initialise import initialise
from models.plan import Plan
from models.translating import compared, forced, free, heard, translated

WORDS, S, U = 9, 5, 6
START, STOP = 1, 2
SOURCE = np.array([[3, 4, 8], [5, 6, 3], [7, 0, 3], [8, 0, 3], [4, 0, 0]])
LENGTHS = np.array([5, 2, 4])
READ = np.array([[1, 1, 1], [3, 8, 7], [4, 2, 5], [6, 0, 2], [7, 0, 0], [8, 0, 0]])


def network(cell: str, layers: int, embedding: int | None) -> EncoderDecoder:
    plan = Plan(
        cell=cell, input_size=WORDS, hidden=4, layers=layers, outputs=WORDS, vocabulary=WORDS, embedding=embedding,
        every_step=True, timesteps=S + U, bridge=S,
    )  # fmt: skip
    made = EncoderDecoder(plan)
    initialise(made, "scaled:1.5", None, S + U, torch.Generator().manual_seed(1))
    with torch.no_grad():
        made.head.weight.mul_(4)
    return made.double()


def kept(made: EncoderDecoder) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in made.state_dict().items()}


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize(("layers", "embedding"), [(1, 3), (2, None)])
def test_told_the_right_words_it_scores_as_torch_does(cell: str, layers: int, embedding: int | None) -> None:
    made = network(cell, layers, embedding)
    outputs = made(torch.from_numpy(np.concatenate([SOURCE, READ])), lengths=torch.from_numpy(LENGTHS)).outputs
    scores = forced(cell, kept(made), SOURCE, LENGTHS, READ)
    np.testing.assert_allclose(scores, outputs[S:].detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("cell", list(CELLS))
def test_left_to_itself_it_writes_what_it_finds_likeliest_behind_its_own_words(cell: str) -> None:
    made = network(cell, 1, 3)
    written = free(cell, kept(made), SOURCE, LENGTHS, START, STOP, U)
    read = np.concatenate([np.full((1, 3), START), written[:-1]])
    likeliest = forced(cell, kept(made), SOURCE, LENGTHS, read).argmax(axis=-1)
    ended = np.cumsum(written == STOP, axis=0) - (written == STOP) > 0
    np.testing.assert_array_equal(written, np.where(ended, 0, likeliest))
    for sample, length in enumerate(LENGTHS):
        alone = translated(cell, kept(made), SOURCE[:length, sample], START, STOP, U)
        own = written[: len(alone.words), sample]
        np.testing.assert_array_equal(alone.words, own)
        np.testing.assert_allclose(alone.probabilities.sum(axis=1), 1.0)


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("layers", [1, 2])
def test_what_a_word_hears_across_the_bridge_agrees_with_torch(cell: str, layers: int) -> None:
    made, length = network(cell, layers, 3), 4
    source = SOURCE[:length, 2]
    alone = translated(cell, kept(made), source, START, STOP, U)
    for at in {0, len(alone.words) - 1}:
        read = np.concatenate([source, [0], [START], alone.words[:-1]])[:, None]  # padded by one, as in training
        out = made(torch.from_numpy(read), lengths=torch.tensor([length]))
        functional.cross_entropy(out.outputs[S + at], torch.tensor([int(alone.words[at])])).backward()
        trace = out.traces[-1]
        parts = [trace.grad_h] if trace.grad_c is None else [trace.grad_h, trace.grad_c]
        norms = torch.cat(parts, 2).norm(dim=2)[:, 0].numpy()
        english, german = heard(alone, kept(made), at)
        np.testing.assert_allclose(english, norms[:length], atol=1e-12)
        assert norms[length] == 0, "nothing at padding"
        np.testing.assert_allclose(german, norms[S : S + at + 1], atol=1e-12)
        assert (norms[S + at + 1 :] == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_whole_sentences_are_right_as_often_told_as_on_its_own_and_words_are_counted_where_asked(seed: int) -> None:
    made, rng = network("lstm", 1, 3), np.random.default_rng(seed)
    with torch.no_grad():
        made.head.bias[STOP] += 0.4
    B = 400
    source, lengths = rng.integers(3, WORDS, (S, B)), rng.integers(1, S + 1, B)
    written = free("lstm", kept(made), source, lengths, START, STOP, U)
    # Right answers: what it writes itself, in some sentences with one word changed, closed by the end.
    ended = (written == STOP).any(axis=0)
    right = np.where((np.cumsum(written == STOP, axis=0) - (written == STOP)) > 0, -1, written)[:, ended]
    right = np.pad(right, ((0, U - len(right)), (0, 0)), constant_values=-1)
    changed = rng.random(right.shape[1]) < 0.5
    right[0, changed] = np.where(right[0, changed] == STOP, STOP, 3 + (right[0, changed] - 2) % (WORDS - 3))
    read = np.concatenate([np.full((1, right.shape[1]), START), np.maximum(right, 0)[:-1]])
    found = compared("lstm", kept(made), source[:, ended], lengths[ended], read, right)
    assert right.shape[1] > 20, "enough of them come to an end"
    told, own = found.sentences
    assert told == own
    assert 0 < told < 1
    np.testing.assert_array_equal(found.asked, right >= 0)
    assert found.words[1] == pytest.approx((found.free & found.asked).sum() / (right >= 0).sum())
    scores = forced("lstm", kept(made), source[:, ended], lengths[ended], read).argmax(axis=-1)
    np.testing.assert_array_equal(found.forced, (scores == right) & (right >= 0))
