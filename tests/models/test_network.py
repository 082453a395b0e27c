import pytest
import torch
from torch import Generator
from torch.nn import functional

from models.initialise import initialise
from models.network import Network

torch.set_num_threads(1)


def network(**changes: object) -> Network:
    sizes: dict[str, object] = {
        "input_size": 6,
        "hidden": 5,
        "layers": 1,
        "outputs": 3,
        "vocabulary": 6,
        "embedding": 4,
        "every_step": False,
    }
    made = Network("tanh", **{**sizes, **changes})  # type: ignore[arg-type]
    initialise(made, "torch", None, 10, Generator().manual_seed(0))
    return made


def test_words_enter_by_embedding_or_one_hot_and_numbers_as_they_are() -> None:
    words = torch.randint(0, 6, (8, 2))
    embedded = network()
    assert embedded.embedding is not None
    torch.testing.assert_close(embedded(words).x, embedded.embedding(words))
    one_hot = network(embedding=None)
    assert torch.equal(one_hot(words).x, functional.one_hot(words, 6).float())
    numbers = torch.randn(8, 2, 2)
    assert torch.equal(network(vocabulary=0, input_size=2)(numbers).x, numbers)


@pytest.mark.parametrize("embedding", [4, None])
def test_the_gradient_of_what_the_recurrence_reads_is_kept_on_demand(embedding: int | None) -> None:
    run = network(embedding=embedding)(torch.randint(0, 6, (8, 2)), keep_input_grad=True)
    run.outputs.sum().backward()
    assert run.x.grad is not None
    assert run.x.grad.shape == run.x.shape
    # x_0 acts only through h_0, so its gradient is that of the pre-activation through the input weights
    weights = run.traces[0].grad_preactivation[0]
    assert run.x.grad[0].abs().max() > 0
    assert weights.shape == (2, 5)


def test_the_head_answers_at_the_end_or_at_every_step() -> None:
    words = torch.randint(0, 6, (8, 2))
    last, every = network()(words), network(every_step=True)(words)
    assert last.outputs.shape == (2, 3)
    assert every.outputs.shape == (8, 2, 3)
    torch.testing.assert_close(every.outputs[-1], last.outputs)
