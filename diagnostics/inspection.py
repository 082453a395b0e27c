"""What an inspection of a run at one training step holds: the one data model that its measures and charts share.

Numpy only. A probe of ``B`` held-out samples went through the network with the weights that it had after ``step``
updates; everything was computed in float64, and nothing was clipped. A section is a group of quantities that are
computed together; one that was not asked for, or does not apply to the network, is absent.

Letters: ``L`` layers, ``T`` timesteps, ``B`` samples, ``H`` hidden size, ``S`` state size (H; LSTM 2H, h before c),
``G`` gates (1 for simple cells), ``J`` timesteps with a Jacobian, ``K`` lags of products, ``M`` chunk lengths, ``R``
lengths of measured steps, ``A`` answer steps, ``P`` parameter tensors, ``N`` bins. Not-a-number and infinity are data:
they are kept as such.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diagnostics.records import Array
from diagnostics.strict_json import dumps, loads


@dataclass(frozen=True)
class Quantity:
    """One quantity of an inspection: its axes (a letter, a letter + 1, or a number each), unit and section."""

    section: str
    axes: tuple[str, ...]
    unit: str
    meaning: str
    dtype: str = "f8"


SECTIONS: Mapping[str, str] = {
    "states": "states and gates of the probe, and how many units are saturated or dead",
    "profile": "the state gradient of the probe at every timestep",
    "theory": "the recurrent weights' singular values and eigenvalues, and the bound on the gradient",
    "jacobians": "singular values of the state's Jacobian at a timestep, and of products over several",
    "lyapunov": "Lyapunov exponents of the trajectory, with their standard error",
    "weight_gradient": "where the gradient of the recurrent weights comes from, by timestep and by gate",
    "itemised": "the gradient of each answer's loss at every timestep, where several answers are given",
    "truncation": "what backpropagation cut into chunks would have given instead",
    "parameters": "the gradient of each parameter tensor: norm, histogram, and what is not finite",
}
"""Sections by name, in the order in which they are computed, each with what it holds."""

QUANTITIES: Mapping[str, Quantity] = {
    "h": Quantity("states", ("L", "T", "B", "H"), "state", "the state h_t after each step, rounded to float32", "f4"),
    "c": Quantity(
        "states", ("L", "T", "B", "H"), "state", "the cell state c_t after each step, rounded to float32; LSTM", "f4"
    ),
    "gates": Quantity(
        "states",
        ("L", "G", "T", "B", "H"),
        "activation",
        "gates after their nonlinearity, rounded to float32: r, z, n (GRU); i, f, g, o (LSTM); no others have any",
        "f4",
    ),
    "saturated": Quantity(
        "states",
        ("L", "T"),
        "share",
        "share of saturated units over samples (tanh |h|>0.95; sigmoid and gates <0.05 or >0.95; ReLU 0)",
    ),
    "dead": Quantity("states", ("L", "T"), "share", "share of units that are exactly 0 for every sample at t; ReLU"),
    "never_on": Quantity("states", ("L",), "share", "share of units that are 0 at every t of every sample; ReLU"),
    "state_grad": Quantity(
        "profile",
        ("L", "T", "B"),
        "l2",
        "norm of the state gradient (h, or h and c together) per sample, of the last answer's loss; pre-clip; batch "
        "mean undone",
    ),
    "sigma_max": Quantity("theory", ("L",), "factor", "largest singular value of W_hh; gated: of all blocks stacked"),
    "spectral_radius": Quantity(
        "theory", ("L",), "factor", "largest |eigenvalue| of W_hh; gated: over the gates' blocks"
    ),
    "gamma": Quantity("theory", ("L",), "factor", "largest slope of the nonlinearity; nan for gated cells: no bound"),
    "eigenvalues": Quantity(
        "theory", ("L", "G", "H", "2"), "factor", "eigenvalues of each gate's block of W_hh, real and imaginary part"
    ),
    "decay": Quantity(
        "theory", ("L",), "factor", "fitted factor per step back of the probe's own median state gradient"
    ),
    "jacobian_steps": Quantity("jacobians", ("J",), "timestep", "timesteps t whose Jacobian was taken, rising", "i8"),
    "singular_values": Quantity(
        "jacobians", ("L", "J", "S"), "factor", "singular values of ∂s_t/∂s_{t−1}, falling; median over the samples"
    ),
    "product_lags": Quantity("jacobians", ("K",), "timesteps", "numbers of steps k that products go over", "i8"),
    "product_singular_values": Quantity(
        "jacobians",
        ("L", "K", "S"),
        "log10",
        "log10 of the singular values of the product over the last k steps before the loss, falling; median over the "
        "samples",
    ),
    "lyapunov": Quantity("lyapunov", ("L", "S"), "1/timestep", "Lyapunov exponents per step, natural log, falling"),
    "lyapunov_error": Quantity(
        "lyapunov",
        ("L", "S"),
        "1/timestep",
        "standard error of each exponent: the largest of those over stretches of time, samples and random starts",
    ),
    "weight_grad": Quantity(
        "weight_gradient",
        ("L", "T", "G+1"),
        "l2",
        "norm of timestep k's share G_k of the gradient of W_hh, per gate and, last, of all gates; pre-clip",
    ),
    "cancellation": Quantity(
        "weight_gradient", ("L", "G+1"), "ratio", "‖ΣG_k‖ / Σ‖G_k‖, per gate and, last, of all gates"
    ),
    "noise": Quantity(
        "weight_gradient", ("L", "T"), "ratio", "signal-to-noise of G_k over the samples; about 1 is chance"
    ),
    "bptt_sum_error": Quantity(
        "weight_gradient", ("L",), "ratio", "relative difference between ΣG_k and autograd's gradient of W_hh"
    ),
    "answer_steps": Quantity(
        "itemised", ("A",), "timestep", "timesteps τ whose loss was taken by itself; many-to-one: the last", "i8"
    ),
    "itemised": Quantity(
        "itemised",
        ("L", "A", "T"),
        "l2",
        "norm of ∂L_τ/∂s_k (s is h, or h and c together), median over the samples; pre-clip; batch mean undone",
    ),
    "lag_profile": Quantity("itemised", ("L", "T"), "l2", "mean of itemised over the pairs that lie k steps apart"),
    "chunk": Quantity("truncation", ("M",), "timesteps", "chunk lengths, rising; the last is T, which is full", "i8"),
    "truncation_cosine": Quantity(
        "truncation", ("M",), "cosine", "cosine between the truncated and the full gradient of all parameters"
    ),
    "truncation_error": Quantity(
        "truncation", ("M",), "ratio", "‖truncated − full‖ / ‖full‖, of the gradient of all parameters"
    ),
    "memory_steps": Quantity("truncation", ("R",), "timesteps", "lengths of the sequences of measured steps", "i8"),
    "memory_full": Quantity("truncation", ("R",), "bytes", "peak memory of a training step, not truncated", "i8"),
    "memory_truncated": Quantity(
        "truncation", ("R",), "bytes", "peak memory of a step truncated at memory_chunk, nothing recorded", "i8"
    ),
    "memory_batch": Quantity("truncation", ("R",), "sequences", "sequences in each measured step", "i8"),
    "memory_chunk": Quantity("truncation", ("R",), "timesteps", "chunk length of memory_truncated", "i8"),
    "parameter_names": Quantity("parameters", ("P",), "", "names of the parameter tensors", "U"),
    "parameter_norm": Quantity("parameters", ("P",), "l2", "norm of each parameter tensor"),
    "parameter_grad_norm": Quantity("parameters", ("P",), "l2", "norm of the gradient of each tensor; pre-clip"),
    "update_ratio": Quantity(
        "parameters",
        ("P",),
        "ratio",
        "‖Δθ‖ / ‖θ‖ of the training update that led to this step, by tensor; nan where there was none",
    ),
    "grad_histogram": Quantity(
        "parameters", ("P", "N"), "entries", "finite entries that are not 0, by the bin of log10 of their size", "i8"
    ),
    "bin_edges_log10": Quantity("parameters", ("N+1",), "log10", "edges of the bins of grad_histogram"),
    "grad_nan": Quantity("parameters", ("P",), "entries", "entries of the gradient that are nan", "i8"),
    "grad_inf": Quantity("parameters", ("P",), "entries", "entries of the gradient that are infinite", "i8"),
    "grad_zero": Quantity("parameters", ("P",), "entries", "entries of the gradient that are exactly 0", "i8"),
}

GATES: Mapping[str, tuple[str, ...]] = {"rnn": ("h",), "gru": ("r", "z", "n"), "lstm": ("i", "f", "g", "o")}
"""The row blocks of W_hh by kind of recurrence, in the order of axis G; a simple cell's one block makes h."""

GATE_TITLES: Mapping[str, str] = {
    "h": "state",
    "r": "reset gate r",
    "z": "update gate z",
    "n": "candidate n",
    "i": "input gate i",
    "f": "forget gate f",
    "g": "candidate g",
    "o": "output gate o",
}


@dataclass(frozen=True)
class Inspection:
    """One run at one training step, seen through a probe of held-out samples.

    ``step`` counts the updates made before; ``kind`` is "rnn", "gru" or "lstm", ``nonlinearity`` a simple cell's (""
    for gated ones). ``tokens`` has one readable string per timestep of each sample, ``informative_steps`` the timesteps
    that hold what each sample's answer depends on. ``loss_step`` is the timestep of the (last) answer. ``arrays`` holds
    quantities of ``QUANTITIES`` by name; ``inspection["h"]`` and ``"h" in inspection`` reach them too. ``truncate`` is
    the chunk length that training cut backpropagation into, 0 where it did not; all gradients here are the full ones.

    Raises ``ValueError`` on construction where an array is unknown or does not fit its axes, naming it.
    """

    run_id: str
    step: int
    cell: str
    kind: str
    nonlinearity: str
    layers: int
    tokens: tuple[tuple[str, ...], ...]
    informative_steps: tuple[tuple[int, ...], ...]
    loss_step: int
    arrays: Mapping[str, Array]
    truncate: int = 0

    def __post_init__(self) -> None:
        if self.kind not in GATES:
            raise ValueError(f"kind must be one of {', '.join(GATES)}, but got {self.kind!r}")
        if not self.tokens or len({len(sample) for sample in self.tokens}) != 1:
            raise ValueError("tokens must hold samples of one length, at least one of them")
        if len(self.informative_steps) != self.samples:
            raise ValueError(
                f"informative_steps must hold one entry for each of {self.samples} samples, "
                f"but got {len(self.informative_steps)}"
            )
        if not 0 <= self.loss_step < self.timesteps:
            raise ValueError(f"loss_step must be a timestep below {self.timesteps}, but got {self.loss_step}")
        if not 0 <= self.truncate < self.timesteps:
            raise ValueError(f"truncate must be 0 or a chunk length below {self.timesteps}, but got {self.truncate}")
        _check(self.arrays, {"L": self.layers, "T": self.timesteps, "B": self.samples, "G": len(self.gate_names)})

    @property
    def timesteps(self) -> int:
        """T."""
        return len(self.tokens[0])

    @property
    def samples(self) -> int:
        """B."""
        return len(self.tokens)

    @property
    def gate_names(self) -> tuple[str, ...]:
        """The letters along axis G."""
        return GATES[self.kind]

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections that are here, in the order of ``SECTIONS``."""
        there = {QUANTITIES[name].section for name in self.arrays}
        return tuple(name for name in SECTIONS if name in there)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)


def which_gradient(named: Sequence[tuple[str, Inspection]]) -> str:
    """Say which gradient is shown of networks, each with its name, that were trained on a truncated one; else ""."""
    cut = {name: one for name, one in named if one.truncate}
    if not cut:
        return ""
    lengths = " or ".join(str(length) for length in sorted({one.truncate for one in cut.values()}))
    whose = f" of {', '.join(cut)}" if len(cut) < len(named) else ""
    return (
        f"Shown{whose} is the full gradient, through all timesteps, while training used chunks of {lengths}: "
        "what comes from further back than a chunk never reached the weights."
    )


def _check(arrays: Mapping[str, Array], sizes: dict[str, int]) -> None:
    for name, values in arrays.items():
        if name not in QUANTITIES:
            raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, but got {name!r}")
        wanted = QUANTITIES[name]
        kind = values.dtype.kind == "U" if wanted.dtype == "U" else values.dtype == np.dtype(wanted.dtype)
        if not kind or values.ndim != len(wanted.axes):
            raise ValueError(
                f"{name} must be an array of {wanted.dtype} [{', '.join(wanted.axes)}], "
                f"but got {values.dtype} of shape {values.shape}"
            )
        for axis, size in zip(wanted.axes, values.shape, strict=True):
            letter, _, more = axis.partition("+")
            one = int(axis) if axis.isdigit() else sizes.setdefault(letter, size - int(more or 0)) + int(more or 0)
            if size != one:
                raise ValueError(f"the axis {axis} of {name} must have {one} entries, but has {size}")


_ABOUT: Mapping[str, type] = {
    "run_id": str,
    "step": int,
    "cell": str,
    "kind": str,
    "nonlinearity": str,
    "layers": int,
    "tokens": list,
    "informative_steps": list,
    "loss_step": int,
    "truncate": int,
}
"""The fields besides the arrays, by the JSON type that each has in a file."""

FORMAT = 3
"""Raised whenever a quantity or a field is added or changes, so that what was kept before is computed anew."""
LARGEST_FILE = 512 * 2**20
"""No inspection unpacks to more, in bytes; a damaged length is refused before it is allocated."""


def save(inspection: Inspection, path: Path) -> None:
    """Write one .npz without pickle: an array per quantity, and ``about`` (strict JSON in UTF-8, uint8). It appears
    whole or not at all."""
    about = dumps(
        {"format": FORMAT, "quantities": list(inspection), **{name: getattr(inspection, name) for name in _ABOUT}}
    )
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        np.savez(file, allow_pickle=False, about=np.frombuffer(about.encode(), np.uint8), **inspection.arrays)
    fresh.replace(path)


def load(path: Path) -> Inspection:
    """The inspection that ``save`` wrote. Raises ``ValueError`` with one sentence where the file holds none, or is
    damaged or of a newer version; ``OSError`` where it cannot be read."""
    data = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > LARGEST_FILE:
                raise ValueError(f"it unpacks to more than {LARGEST_FILE} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = loads(arrays.pop("about").tobytes())
        if about.get("format") != FORMAT:
            raise ValueError(f"its format must be {FORMAT}, but is {about.get('format')!r}")
        if about["quantities"] != list(arrays):
            raise ValueError("it does not hold the quantities that it names")
        return Inspection(**_fields(about), arrays=arrays)
    except _BROKEN as error:
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path} is no whole inspection: {words}") from error


_BROKEN = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, OSError, RuntimeError, OverflowError),
    *(MemoryError, struct.error, zlib.error, zipfile.BadZipFile),
)
"""What zipfile and NumPy raise on damaged input, found by flipping bits."""


def _fields(about: Mapping[str, Any]) -> dict[str, Any]:
    for name, kind in _ABOUT.items():
        if type(about[name]) is not kind:
            raise TypeError(f"{name} should be {kind.__name__}")
    fields = {name: about[name] for name in _ABOUT}
    fields["tokens"] = tuple(tuple(str(word) for word in sample) for sample in about["tokens"])
    fields["informative_steps"] = tuple(tuple(int(t) for t in sample) for sample in about["informative_steps"])
    return fields
