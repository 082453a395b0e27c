"""What a person marks by hand in a loop of their own: the state at each timestep, or a parallel scan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from diagnostics.watching import graph
from diagnostics.watching.lines import Line
from diagnostics.watching.naming import detached
from diagnostics.watching.passing import LayerPass, Pass
from diagnostics.watching.runs import AGAIN, Runs, in_order, numbers
from diagnostics.watching.uses import Answers, count


@dataclass(eq=False)
class _Latest:
    """The latest mark of a layer: its line, the states, and the number of the graph's next node then."""

    line: Line
    states: list[Tensor]
    since: int


@dataclass(eq=False)
class _Scan:
    """One marked scan: [T,B,H] each, and per run of autograd what arrived at h."""

    layer: str
    number: int
    """Its place among all that was marked in the training step."""
    h: Tensor
    decay: Tensor
    gradients: dict[int, Tensor] = field(default_factory=dict)
    second: set[int] = field(default_factory=set)
    """The runs that may have gone through the graph of a gradient that came through the scan before."""
    differentiable: bool = False
    """Whether such a gradient has a graph."""


TWICE = (
    "marked by w.scan, but not recorded in this training step: a gradient that came through it was differentiated "
    "(create_graph, say for a gradient penalty), and that depends on its states in ways that no graph of a parallel "
    "scan shows. A loop over the timesteps, marked with w.state(h), shows them."
)
"""What is said of a scan where the loss has a gradient in it: there ∂L/∂a_t = g_t ⊙ h_{t−1} is made from h as well."""


class Marks:
    """A ``Source``: nothing is watched but what is given to ``state`` and ``scan``."""

    def __init__(self, parameters: Callable[[], Iterable[nn.Parameter]] = tuple) -> None:
        """``parameters``: those of the model, to know which run of autograd adds to their ``.grad``."""
        self._parameters = parameters
        self._armed = False
        self._sentences: list[str] = []
        self.refused: dict[str, str] = {}
        """Layer → why its scan was not recorded in the latest recorded step."""
        self._newest: dict[str, list[Tensor]] = {}
        self._runs = Runs(parameters)
        self._answers = Answers()
        self._counted = False
        self._begin()

    def _begin(self) -> None:
        self._runs.close()
        self._runs = Runs(self._parameters)
        self._finished: dict[int, Line] = {}
        self._latest: dict[str, _Latest] = {}
        self._scans: list[_Scan] = []
        self._places: set[tuple[int, int]] = set()
        self._count = 0

    def places(self) -> set[tuple[int, int]]:
        """Where in the graph the states of this training step are that were marked, in ``graph.numbers``."""
        return self._places

    def arm(self, *, check: bool = False) -> None:
        """As ``Source.arm``."""
        self._begin()
        self._armed, self._counted = True, self._answers.due(check=check)

    def state(self, tensor: Tensor, *, layer: str = "state", c: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Mark ``tensor`` [B,H] as the state that is handed on at this timestep, and ``c`` as an LSTM's cell state.

        Returns what the loop goes on with: the state, or (h, c) where c is given. Of h every use counts; of c those of
        what is returned, which must be handed to the next timestep: its direct path, and not that through h. Timesteps
        are the calls, in their order, each of which is computed from the one before; where it is not, a new sequence
        begins, or, if the state before was detached, the same one goes on after a cut. Layers are told apart by
        ``layer``. Outside of a recorded training step and without a graph nothing is marked.
        Raises ``ValueError`` for a state that is not [B,H] and a c of another batch size.
        """
        if tensor.dim() != 2:
            raise ValueError(f"tensor must be a state [B,H], but its shape is {tuple(tensor.shape)}")
        if c is not None and (c.dim() != 2 or len(c) != len(tensor)):
            raise ValueError(f"c must be [B,·] with B = {len(tensor)}, but its shape is {tuple(c.shape)}")
        handed_on = c if c is None or not self._sees(c) else c.view_as(c)
        states = [tensor] if handed_on is None else [tensor, handed_on]
        if self._sees(tensor):
            self._mark(states, layer)
        if torch.is_grad_enabled():
            self._newest[layer] = [state.detach() for state in states]
        return tensor if handed_on is None else (tensor, handed_on)

    def _sees(self, tensor: Tensor) -> bool:
        recorded = self._armed and torch.is_grad_enabled() and not torch.compiler.is_compiling()
        return recorded and tensor.requires_grad and not graph.in_backward()

    def _mark(self, states: list[Tensor], layer: str) -> None:
        latest = self._latest.get(layer)
        line = Line(layer, self._finished, self._runs, counted=self._counted)
        made = [graph.edge(state) for state in states]
        if latest is None:
            # What was marked in the training step before, and which this one goes on with.
            before = self._newest.get(layer, [])
            line.cuts += [0] * any(graph.uses_values(one, before, 0) for one in made)
        else:
            came = [graph.edge(state) for state in latest.states]
            if any(graph.path(one, came, latest.since) is not None for one in made):
                line = latest.line
            elif any(graph.uses_values(one, latest.states, latest.since) for one in made):
                line = latest.line
                line.cuts.append(len(line.steps))
        t = len(line.steps)
        self._count += 1
        line.append((self._count, self._count, graph.now()), {}, None)
        for letter, state in zip("hc", states, strict=False):
            line.put(t, (0, letter), state, object())
        self._places |= set(_same(made[0]))
        self._latest[layer] = _Latest(line, states, graph.now())

    def scan(self, h: Tensor, decay: Tensor, *, layer: str = "scan", batch_first: bool = False) -> Tensor:
        """Mark ``h`` [T,B,H] as the states of h_t = a_t ⊙ h_{t−1} + b_t with ``decay`` a, which may be broadcast.

        Such a recurrence can be computed by a parallel scan, as minGRU and minLSTM are (Feng, Tung, Ahmed, Bengio,
        Hajimirsadeghi 2024, "Were RNNs All We Needed?", arXiv:2410.01201) and diagonal state space models. Then no
        graph holds the steps, and what arrives at h is only the direct term ∂⁺L/∂h_t. The total derivative follows as

            g_t = ∂⁺L/∂h_t + a_{t+1} ⊙ g_{t+1},

        which is exact where a and b are computed from the layer's inputs alone, and not from its states. ``decay`` is
        what multiplies h_{t−1}: of minGRU 1 − z_t, of minLSTM f′_t.

        Returns ``h``, of which every use counts. With ``batch_first`` both are [B,T,H]. Outside of a recorded training
        step and without a graph nothing is marked. Raises ``ValueError`` where h has not three axes or the decay does
        not broadcast to it.
        """
        if h.dim() != 3:
            raise ValueError(f"h must be [{'B,T' if batch_first else 'T,B'},H], but its shape is {tuple(h.shape)}")
        try:
            wide = decay.detach().expand_as(h)
        except RuntimeError:
            shapes = f"{tuple(h.shape)}, but its shape is {tuple(decay.shape)}"
            raise ValueError(f"decay must broadcast to the shape of h, {shapes}") from None
        if not self._sees(h):
            return h
        first = [part.transpose(0, 1) if batch_first else part for part in (h.detach(), wide)]
        self._count += 1
        scan = _Scan(layer, self._count, first[0].clone(), first[1].clone())
        scans, runs = self._scans, self._runs
        runs.listen()

        def arrive(gradient: Tensor | None) -> None:
            if gradient is not None:
                direct = gradient.detach().transpose(0, 1) if batch_first else gradient.detach()
                number = runs.arrived()
                if scan.differentiable:
                    scan.second.add(number)
                scan.differentiable |= torch.is_grad_enabled()  # so it is in a hook where create_graph was asked for
                scan.gradients[number] = direct.clone()
                if scan not in scans:
                    scans.append(scan)

        h.register_hook(arrive)
        return h

    def take(self) -> list[Pass]:
        """As ``Source.take``."""
        lines = sorted(self._finished.values(), key=lambda line: line.spans[0])
        found = [
            (run, line.spans[0][0], _pass(line.name, "state", layers, line.cuts, answers))
            for line in lines
            for run, layers, answers in zip(line.recorded, line.passes(), line.answers(), strict=True)
        ]
        self._sentences = [
            _sentence(name, [line for line in lines if line.name == name])
            for name in dict.fromkeys(line.name for line in lines if line.recorded)
        ]
        self.refused = {}
        for scan in self._scans:
            runs = self._runs.recorded(sorted(scan.gradients))
            if scan.second.intersection(runs):
                self.refused[scan.layer] = f"{scan.layer}: {TWICE}"
                continue
            found += [(run, scan.number, _of_scan(scan, scan.gradients[run])) for run in runs]
            if runs:
                self._sentences.append(
                    f"{scan.layer}: marked by w.scan; exact where its decay depends on its inputs alone."
                )
        self._sentences = [*dict.fromkeys(self._sentences), *self.refused.values()]
        self.close()
        return self._answers.told(in_order(found), counted=self._counted)

    def covered(self) -> list[str]:
        """As ``Source.covered``, about the latest recorded step."""
        return [*self._sentences, *self._answers.sentences()]

    def close(self) -> None:
        """As ``Source.close``."""
        self._armed = False
        self._begin()


def _sentence(name: str, lines: Sequence[Line]) -> str:
    shown = [line for line in lines if line.recorded]
    of = f" in each of {len(shown)} sequences" if len(shown) > 1 else ""
    said = f"{name}: marked by w.state{of} at {numbers([len(line.steps) for line in shown])} timesteps"
    again = [AGAIN] if any(line.again for line in lines) else []
    return "; ".join([f"{said}, in the order of the calls", *detached(shown), *again]) + "."


def _same(made: graph.Edge | None) -> Iterator[tuple[int, int]]:
    """The place of a state in the graph, and of what it is an alias of."""
    if made is not None:
        yield graph.numbers(made)
        if made[0].name() in {"ViewBackward0", "AliasBackward0"} and made[0].next_functions[0][0] is not None:
            yield graph.numbers(made[0].next_functions[0])


def _total(direct: Tensor, decay: Tensor) -> Tensor:
    """g_t = ∂⁺L/∂h_t + a_{t+1} ⊙ g_{t+1}, [T,B,H]; of a complex decay the conjugate, as autograd has it."""
    total = direct.clone()
    for t in reversed(range(len(total) - 1)):
        total[t] += decay[t + 1].conj() * total[t + 1]
    return total


def _of_scan(scan: _Scan, direct: Tensor) -> Pass:
    """``direct``: ∂⁺L/∂h_t [T,B,H], of which the last that is not 0 of each sample is the last answer's."""
    used = (direct != 0).any(2)
    answers, last = count([[one] for one in used]), None
    if answers > 1:
        steps = torch.arange(len(used), device=used.device)[:, None]
        at = torch.where(used, steps, -1).amax(0)
        last = _total(direct * (steps == at)[..., None], scan.decay), None
    return _pass(scan.layer, "scan", (LayerPass(scan.h, _total(direct, scan.decay), last_answer=last),), (), answers)


def _pass(layer: str, kind: str, layers: Sequence[LayerPass], cuts: Sequence[int], answers: int) -> Pass:
    return Pass(group=layer, kind=kind, layers=layers, class_name=f"w.{kind}", cuts=tuple(cuts), answers=answers)
