"""What Learn shows at its stops on both directions and on translation, trained at several seeds."""

import pytest
import torch

from experiments.spec import RunSpec
from tests.experiments.recording import trained
from ui.learn.stops import directions, translation

pytestmark = pytest.mark.gates
torch.set_num_threads(1)


def at_seeds(specs: list[RunSpec]) -> list[list[RunSpec]]:
    return [[spec.changed(seed=seed) for spec in specs] for seed in range(3)]


@pytest.mark.parametrize(("gap", "cell"), [(1, "tanh"), (4, "gru"), (8, "lstm")])
def test_only_two_directions_tag_what_the_future_decides(gap: int, cell: str) -> None:
    for specs in at_seeds(directions.specs({"gap": gap, "cell": cell})):
        (two, *_), (one, records, _) = (trained(spec) for spec in specs)
        assert two.success > 0.95
        assert 0.4 < one.success < 0.6
        assert records["eval_loss"][-1] > two.loss + 0.01


def test_gates_carry_a_sentence_across_the_bridge_and_tanh_does_not() -> None:
    for gru, lstm, tanh in at_seeds(
        [translation.specs({**translation.USUAL, "cell": cell})[0] for cell in ("gru", "lstm", "tanh")]
    ):
        for gated in (gru, lstm):
            outcome, _, verdict = trained(gated)
            assert outcome.success > 0.8
            assert verdict.informative_grad > 0.1
        outcome, _, verdict = trained(tanh)
        assert outcome.success < 0.1
