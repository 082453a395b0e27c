"""Heads over many words: each one's probabilities, losses and gradients against plain sums in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models import softmax
from models.softmax import Hierarchical, NoiseContrastive

KINDS = ("full", "adaptive", "hierarchical", "nce")
SIZES = (2, 3, 5, 8, 13, 100)


def made(kind: str, words: int, size: int = 6, seed: int = 0) -> softmax.Head:
    head = softmax.head(kind, size, words)
    head.fill(torch.Generator().manual_seed(seed))
    return head.double()


def features(count: int = 4, size: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def targets(count: int, words: int) -> Tensor:
    return torch.randint(words, (count,), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("words", [size for size in SIZES if size > 2])
@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_are_of_all_words_and_add_up_to_one(kind: str, words: int) -> None:
    found = made(kind, words).log_probabilities(features())
    assert found.shape == (4, words)
    assert (found <= 0).all()
    torch.testing.assert_close(found.exp().sum(1), torch.ones(4, dtype=torch.float64), rtol=1e-13, atol=0)


@pytest.mark.parametrize("words", [size for size in SIZES if size > 2])
@pytest.mark.parametrize("kind", ["full", "adaptive", "hierarchical"])
def test_the_loss_is_the_cross_entropy_of_the_log_probabilities(kind: str, words: int) -> None:
    head, x, answers = made(kind, words), features(9), targets(9, words)
    expected = functional.nll_loss(head.log_probabilities(x), answers)
    torch.testing.assert_close(head.loss(x, answers), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["full", "adaptive", "hierarchical"])
def test_gradients_agree_with_plain_autograd(kind: str) -> None:
    head, answers = made(kind, 13), targets(9, 13)
    found, plain = features(9).requires_grad_(), features(9).requires_grad_()
    ours = torch.autograd.grad(head.loss(found, answers), [found, *head.parameters()])
    theirs = torch.autograd.grad(
        functional.nll_loss(head.log_probabilities(plain), answers), [plain, *head.parameters()]
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("words", SIZES)
def test_the_tree_multiplies_decisions_from_the_root_to_the_leaf(words: int) -> None:
    """Walked node by node, with ordinary numbers."""
    head = made("hierarchical", words)
    assert isinstance(head, Hierarchical)
    x = features(1)
    scores = head.nodes.scores(x)[0].tolist()
    for word, found in enumerate(head.log_probabilities(x)[0].tolist()):
        node, total = word + words, 0.0
        while node > 1:
            sign = 1 if node & 1 else -1
            node >>= 1
            total += -math.log1p(math.exp(-sign * scores[node - 1]))
        assert found == pytest.approx(total, rel=1e-12)


def test_a_common_word_never_takes_more_decisions_than_a_rare_one() -> None:
    head = made("hierarchical", 100)
    assert isinstance(head, Hierarchical)
    decisions = head.turn.abs().sum(1)
    assert (decisions.diff() >= 0).all()
    assert decisions.unique().tolist() == [6, 7]


def test_noise_contrast_tells_words_from_noise() -> None:
    """−ln σ(s − ln K q) for the word, −ln σ(ln K q − s) for every noise word, one by one."""
    head, x, answers = made("nce", 13), features(5), targets(5, 13)
    assert isinstance(head, NoiseContrastive)
    state = head._generator.get_state()
    found = float(head.loss(x, answers).detach())
    head._generator.set_state(state)
    q = [math.log((w + 2) / (w + 1)) / math.log(14) for w in range(13)]
    assert math.fsum(q) == pytest.approx(1, rel=1e-14)
    drawn = torch.rand(head.noise, generator=head._generator, dtype=torch.float64).tolist()
    noise = [next(w for w in range(13) if u <= math.fsum(q[: w + 1]) or w == 12) for u in drawn]
    scores = head.scores(x).tolist()
    total = 0.0
    for row, answer in zip(scores, answers.tolist(), strict=True):
        total += math.log1p(math.exp(-(row[answer] - math.log(head.noise * q[answer]))))
        total += sum(math.log1p(math.exp(row[w] - math.log(head.noise * q[w]))) for w in noise)
    assert found == pytest.approx(total / 5, rel=1e-6)  # log K q is kept in float32


def test_noise_contrast_learns_to_be_normalised() -> None:
    """Words drawn from one fixed distribution: what is learned adds up to nearly 1, and is that distribution."""
    wanted = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.05, 0.05], dtype=torch.float64)
    head = made("nce", 6, size=2)
    x = torch.ones(512, 2, dtype=torch.float64)
    adam = torch.optim.Adam(head.parameters(), lr=0.02)
    draw = torch.Generator().manual_seed(3)
    for step in range(900):
        adam.param_groups[0]["lr"] = 0.02 / (1 + step / 30)
        answers = torch.multinomial(wanted.float(), 512, replacement=True, generator=draw)
        adam.zero_grad()
        head.loss(x, answers).backward()
        adam.step()
    assert float(head.mass(x[:1]).detach()) == pytest.approx(1, abs=0.1)
    assert head.log_probabilities(x[:1])[0].exp().tolist() == pytest.approx(wanted.tolist(), abs=0.03)


def test_before_training_noise_contrast_is_not_normalised_and_says_so() -> None:
    head = made("nce", 13)
    assert float((head.mass(features()) - 1).abs().max().detach()) > 0.01
    for kind in ("full", "adaptive", "hierarchical"):
        mass = made(kind, 13).mass(features())
        torch.testing.assert_close(mass, torch.ones_like(mass), rtol=1e-13, atol=0)


def test_what_is_drawn_depends_on_the_generator_alone() -> None:
    for kind in KINDS:
        first, again, other = made(kind, 13), made(kind, 13), made(kind, 13, seed=1)
        x, answers = features(5), targets(5, 13)
        ours, same, others = (float(head.loss(x, answers).detach()) for head in (first, again, other))
        assert ours == same != others


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="softmax must be one of full, adaptive, hierarchical, nce, but got 'tree'"):
        softmax.head("tree", 4, 9)
