"""An encoder and a decoder in NumPy, from kept weights: told the right words or going on from its own, and what one
word of the translation hears across the bridge.

The names of the weights are those of ``models.encoder_decoder.EncoderDecoder``'s state; for pages and reports, which
never reach torch. Letters: S source words, U written words, B sentences, V words, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from diagnostics.measures.jacobian import Trajectory
from models.inference import Array, State, Weights, layer_count, scores, softmax, step
from models.trail import answer_gradient, back, end, trail

PADDING = 0


def encoded(cell: str, weights: Weights, source: Array, lengths: Array) -> list[State]:
    """The state [B,H] of each of the encoder's layers at the last word of each sentence of ``source`` [S,B]."""
    encoder, carried = _side(weights, "encoder"), _zeros(cell, weights, source.shape[1])
    for t, x in enumerate(_looked_up(weights, source)):
        going = (t < lengths)[:, None]
        for layer, before in enumerate(carried):
            h, c = step(cell, encoder, layer, x, before)
            x = h
            kept = None if c is None or before[1] is None else np.where(going, c, before[1])
            carried[layer] = np.where(going, h, before[0]), kept
    return carried


def forced(cell: str, weights: Weights, source: Array, lengths: Array, read: Array) -> Array:
    """The scores [U,B,V] of the decoder that reads ``read`` [U,B], whatever it would have written itself."""
    decoder, carried = _side(weights, "decoder"), encoded(cell, weights, source, lengths)
    tops = [_next(cell, decoder, x, carried) for x in _looked_up(weights, read)]
    return scores(weights, np.stack(tops))


def free(cell: str, weights: Weights, source: Array, lengths: Array, start: int, stop: int, most: int) -> Array:
    """What the decoder writes, [U,B] with U ≤ ``most``: each word the likeliest one behind those that it wrote itself.

    It begins by reading ``start``; behind ``stop`` a sentence is padding.
    """
    decoder, carried = _side(weights, "decoder"), encoded(cell, weights, source, lengths)
    word = np.full(source.shape[1], start, dtype=np.int64)
    going = np.ones(source.shape[1], dtype=bool)
    written: list[Array] = []
    while going.any() and len(written) < most:
        [x] = _looked_up(weights, word[None])
        word = np.where(going, scores(weights, _next(cell, decoder, x, carried)).argmax(axis=-1), PADDING)
        written.append(word)
        going = going & (word != stop)
    return np.array(written, dtype=np.int64).reshape(len(written), source.shape[1])


class Compared(NamedTuple):
    """Which words are right, [U,B], of those that are asked: told the right word before each, and going on from its
    own. Behind a wrong word of its own the decoder is in a sentence that it was never told of."""

    asked: Array
    forced: Array
    free: Array

    @property
    def sentences(self) -> tuple[float, float]:
        """The share of whole sentences right, told and on its own: up to a first wrong word both have read the same
        words, so that it is one number."""
        return tuple(float((right | ~self.asked).all(axis=0).mean()) for right in (self.forced, self.free))  # type: ignore[return-value]

    @property
    def words(self) -> tuple[float, float]:
        """The share of words right, told and on its own."""
        return tuple(float(right[self.asked].mean()) for right in (self.forced, self.free))  # type: ignore[return-value]


def compared(cell: str, weights: Weights, source: Array, lengths: Array, read: Array, right: Array) -> Compared:
    """Measure both ways on the sentences ``source`` [S,B]; ``read`` [U,B] begins with the word that starts a
    translation and goes on with the right ones, ``right`` [U,B] is the answers, negative where none is asked.

    The end counts as a word; it is the last that is asked of each sentence.
    """
    asked = right >= 0
    told = forced(cell, weights, source, lengths, read).argmax(axis=-1)
    ends = right[asked.sum(axis=0) - 1, np.arange(right.shape[1])]
    own = free(cell, weights, source, lengths, int(read[0, 0]), int(ends[0]), len(right))
    own = np.pad(own, ((0, len(right) - len(own)), (0, 0)))
    return Compared(asked, (told == right) & asked, (own == right) & asked)


@dataclass(frozen=True)
class Written:
    """One sentence and its translation: ``words`` [U] as written, the end among them where it came; ``probabilities``
    [U,V] of every word at each step; the top layers' ways through both."""

    words: Array
    probabilities: Array
    encoder: Trajectory
    decoder: Trajectory


def translated(cell: str, weights: Weights, source: Sequence[int], start: int, stop: int, most: int) -> Written:
    """Translate the words ``source`` [S], S ≥ 1, into at most ``most`` words, the end counted.

    Raises ``IndexError`` where a word is not in the vocabulary.
    """
    english = np.asarray(source, dtype=np.int64)[:, None]
    words = free(cell, weights, english, np.array([len(english)]), start, stop, most)[:, 0]
    below, beneath = (
        _looked_up(weights, english)[:, 0],
        _looked_up(weights, np.append(start, words[:-1])[:, None])[:, 0],
    )
    for layer in range(layer_count(_side(weights, "encoder"))):
        encoder = trail(cell, weights, f"encoder.layers.{layer}", below)
        decoder = trail(cell, weights, f"decoder.layers.{layer}", beneath, end(encoder))
        below, beneath = encoder.h[:, 0], decoder.h[:, 0]
    return Written(words, softmax(scores(weights, beneath)), encoder, decoder)


def heard(written: Written, weights: Weights, at: int) -> tuple[Array, Array]:
    """What the loss of the word written at step ``at``, were it the right one, says to the states of both sides.

    ‖∂L/∂h_t‖ (with an LSTM's c) for the source's S words, and for the decoder's steps 0 … ``at``; the states of later
    steps have no part in the word.
    """
    arriving = answer_gradient(weights["head.weight"], written.probabilities[at], int(written.words[at]))
    of_decoder, over = back(written.decoder, at, arriving)
    of_encoder, _ = back(written.encoder, written.encoder.steps - 1, over)
    return of_encoder, of_decoder


def _next(cell: str, decoder: Weights, x: Array, carried: list[State]) -> Array:
    """One step of all layers; what is ``carried`` is the new states afterwards, and the top one's h is returned."""
    for layer, before in enumerate(carried):
        carried[layer] = step(cell, decoder, layer, x, before)
        x = carried[layer][0]
    return x


def _side(weights: Weights, side: str) -> Weights:
    """The weights of the encoder or the decoder by the names that ``models.inference`` knows."""
    return {"recurrent" + name[len(side) :]: value for name, value in weights.items() if name.startswith(side + ".")}


def _zeros(cell: str, weights: Weights, size: int) -> list[State]:
    encoder = _side(weights, "encoder")
    H = encoder["recurrent.layers.0.weight_hh"].shape[1]
    zeros = np.zeros((size, H))
    return [(zeros, zeros if cell == "lstm" else None) for _ in range(layer_count(encoder))]


def _looked_up(weights: Weights, words: Array) -> Array:
    """The embeddings [T,B,I] of the words [T,B], or one-hot where there are none."""
    if "embedding.weight" in weights:
        return np.asarray(weights["embedding.weight"], dtype=np.float64)[words]
    return np.eye(weights["encoder.layers.0.weight_ih"].shape[1])[words]
