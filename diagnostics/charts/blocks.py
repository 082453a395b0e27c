"""Reduction by blocks: what is drawn stays small, and what no average may hide stays visible."""

from __future__ import annotations

import numpy as np

from diagnostics.measures.profile import middle
from diagnostics.records import Array


def block_edges(length: int, most: int) -> Array:
    """Return the edges, ``[n + 1]``, of at most ``most`` blocks over 0 … length, all of one size but the last.

    Block i holds the indices ``edges[i]`` … ``edges[i + 1] − 1``.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, but got {most}")
    size = max(1, -(-length // most))
    return np.append(np.arange(0, length, size), length)


def block_size(length: int, most: int) -> int:
    """Return how many entries a full block of ``block_edges`` holds."""
    return max(1, -(-length // most))


def block_median(values: Array, most_rows: int, most_columns: int) -> Array:
    """Reduce ``[N, T]`` to at most ``[most_rows, most_columns]``: the median of each block.

    A block with a nan is nan and one with an infinity is infinite: no reduction hides them. Exact zeros are ordinary
    values of the median, so a block is exactly 0 where most of it is.
    """
    rows, columns = block_edges(values.shape[0], most_rows), block_edges(values.shape[1], most_columns)
    if len(rows) == values.shape[0] + 1 and len(columns) == values.shape[1] + 1:
        return np.asarray(values, dtype=np.float64)
    # All full blocks at once; the ragged ones along the last row and column are blocks of another size.
    full = (len(values) // (high := rows[1]) * high, values.shape[1] // (wide := columns[1]) * wide)
    reduced = np.empty((len(rows) - 1, len(columns) - 1))
    for at, part in (((0, 0), values[: full[0], : full[1]]), ((0, 1), values[: full[0], full[1] :])):
        _fill(reduced, at, part, high, wide)
    for at, part in (((1, 0), values[full[0] :, : full[1]]), ((1, 1), values[full[0] :, full[1] :])):
        _fill(reduced, at, part, high, wide)
    return reduced


def _fill(reduced: Array, at: tuple[int, int], part: Array, high: int, wide: int) -> None:
    """Put the medians of one region in their place: ``at`` is 1 along an axis where the region is the ragged rest."""
    if not part.size:
        return
    block = (len(part) if at[0] else high, part.shape[1] if at[1] else wide)
    blocks = part.reshape(len(part) // block[0], block[0], part.shape[1] // block[1], block[1])
    flat = blocks.transpose(1, 3, 0, 2).reshape(block[0] * block[1], blocks.shape[0], blocks.shape[2])
    medians = np.where(np.isinf(flat).any(axis=0) & ~np.isnan(flat).any(axis=0), np.inf, middle(flat))
    rows = slice(-1, None) if at[0] else slice(0, blocks.shape[0])
    columns = slice(-1, None) if at[1] else slice(0, blocks.shape[2])
    reduced[rows, columns] = medians


def block_peak(values: Array, most: int) -> Array:
    """Reduce ``[N]`` to the largest of each of at most ``most`` blocks; a block with a nan is nan."""
    edges = block_edges(len(values), most)
    return np.maximum.reduceat(values, edges[:-1]) if len(values) else np.asarray(values)


def block_mean(values: Array, most: int) -> Array:
    """Reduce ``[N]`` to the mean of each of at most ``most`` blocks; a block with a nan or infinity shows it."""
    edges = block_edges(len(values), most)
    if not len(values):
        return np.asarray(values)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.add.reduceat(np.asarray(values, dtype=np.float64), edges[:-1]) / np.diff(edges)
