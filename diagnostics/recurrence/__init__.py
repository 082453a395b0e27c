"""Recurrences whose backward pass records the gradient at every timestep, in torch.nn's parameter layout."""

from diagnostics.recurrence.arguments import Lengths
from diagnostics.recurrence.gru import gru
from diagnostics.recurrence.lstm import lstm
from diagnostics.recurrence.rnn import rnn
from diagnostics.recurrence.trace import Trace

__all__ = ["Lengths", "Trace", "gru", "lstm", "rnn"]
