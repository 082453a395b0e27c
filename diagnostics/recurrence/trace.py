"""What a recurrence remembers of its forward pass and of the latest backward pass through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class StateGradients:
    """The gradients of one backward pass: ``h`` and ``c`` [T,B,H] (``c`` None without a cell state), ``preactivation``
    [T,B,G·H]."""

    h: Tensor
    c: Tensor | None
    preactivation: Tensor


class Trace:
    """States and gates of one pass through a recurrence, and after ``backward()`` the gradients at every timestep.

    All tensors are detached from the graph and meant to be read only. Letters: T timesteps, B batch, H hidden size,
    G gates. Gradients are those of the loss as it was differentiated: a mean over the batch is not undone.

    ``kind``
        "rnn", "gru" or "lstm".
    ``h``
        [T,B,H], the state h_t after each step; equal to the output.
    ``c``
        [T,B,H], the LSTM's cell state c_t after each step; None for the others.
    ``gates``
        name → [T,B,H], after their nonlinearity: none for rnn; r, z, n for gru; i, f, g, o for lstm.
    ``lengths``
        int64 [B], the number of steps of each sample, or None where all have T. Samples and timesteps are in the order
        in which they were given, and everything beyond a sample's length is zero.
    ``reverse``
        whether the recurrence went from the last step to the first. Then h_t was made from h_{t+1}, and in what follows
        t+1 is to be read as t−1, and the last step is t = 0.

    ``listener``
        None, or who is told the gradients of each backward pass as soon as they are there. Where a gradient is itself
        differentiated, it is also told what that finds at the states by way of the gradient, which this trace leaves
        out: the derivative of the loss at a state is then the sum of what one run of autograd tells.

    The trace holds no graph and nothing in the graph that it fills is needed to read it, so it may outlive both.
    """

    __slots__ = ("__weakref__", "_gradients", "c", "gates", "h", "kind", "lengths", "listener", "reverse")

    h: Tensor
    c: Tensor | None
    gates: Mapping[str, Tensor]

    def __init__(self, kind: str, lengths: Tensor | None = None, reverse: bool = False) -> None:
        self.kind = kind
        self.lengths = lengths
        self.reverse = reverse
        self.c = None
        self.gates = {}
        self.listener: Callable[[StateGradients], None] | None = None
        self._gradients: StateGradients | None = None

    def record(self, gradients: StateGradients) -> None:
        """Keep the gradients of a backward pass in place of those of an earlier one."""
        self._gradients = gradients
        self.tell(gradients)

    def tell(self, gradients: StateGradients) -> None:
        """Hand gradients to the listener, if there is one."""
        if self.listener is not None:
            self.listener(gradients)

    def _latest(self, name: str) -> StateGradients:
        if self._gradients is None:
            raise RuntimeError(
                f"trace.{name} must be read after a backward pass through this {self.kind}, but there has been none"
            )
        return self._gradients

    @property
    def grad_h(self) -> Tensor:
        """The state gradient with respect to h_t, [T,B,H], of the latest backward pass.

        It is what autograd gives where the network is cut between t and t+1 and the state handed over is made a leaf,
        with the loss's own use of output[t] (and of the final state, at the last step) counted in.
        Raises ``RuntimeError`` before the first backward pass.
        """
        return self._latest("grad_h").h

    @property
    def grad_c(self) -> Tensor | None:
        """The state gradient with respect to c_t, [T,B,H], of the latest backward pass; None except for an LSTM.

        Its direct path alone, as in the cut network, where h_t is a leaf of its own: through c_{t+1}, and through the
        loss's use of the final c at the last step. Raises ``RuntimeError`` before the first backward pass.
        """
        return self._latest("grad_c").c if self.c is not None else None

    @property
    def grad_preactivation(self) -> Tensor:
        """The gradient with respect to the pre-activations of the latest backward pass, [T,B,G·H].

        Gate blocks in the order of the weights: a for rnn; r, z, n for gru; i, f, g, o for lstm. A gate's
        pre-activation is what its nonlinearity is applied to: for the GRU's n, W_in x + b_in + r ⊙ (W_hn h + b_hn).
        Raises ``RuntimeError`` before the first backward pass.
        """
        return self._latest("grad_preactivation").preactivation
