"""A checkpoint's recurrent modules: found by torch.nn's names and shapes, and probed with a sequence of their own.

No code of anybody's is run: files are read as safetensors, or with ``torch.load(weights_only=True)``, and what comes
out is tensors. Both may still be hostile (sizes that they do not hold, views that blow up): whoever reads a stranger's
file does it in a process of its own, with a bound on its memory and time.

Letters: T timesteps, B probe sequences, I input size, H hidden size, G gates, L layers, D directions.
"""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diagnostics.checkpoint import KINDS, SAMPLES, Asked, Part, Probed, Walk
from diagnostics.measures.band import band
from diagnostics.measures.norms import sample_norms
from diagnostics.measures.theory import eigenvalues, sigma_max
from diagnostics.recurrence import Trace, gru, lstm, rnn

ENTRIES_AT_MOST = 1_000_000
"""Numbers, names and tensors that are looked at in a file; larger ones than any model's are refused."""
NUMBERS_AT_MOST = 2**27
"""Weights of one recurrent module: 512 MiB in float32."""
WORK_AT_MOST = 2e12
"""Multiplications and additions of a probe: minutes on one core."""
EIGENVALUES_AT_MOST = 512
"""H up to which eigenvalues are computed in passing."""

_BLOCKS = {"rnn": 1, "gru": 3, "lstm": 4}
_NAME = re.compile(
    r"(?:(?P<module>.*)\.)?(?P<what>(?:weight|bias)_(?:ih|hh|hr))_l(?P<layer>\d{1,3})(?P<back>_reverse)?"
)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_PLAIN_ZIP = "torch.save stores its parts as they are, and compresses none"

Weights = Mapping[str, Tensor]
"""The recurrent weights of a file by their dotted names."""


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that are named as torch.nn names recurrent weights, wherever they lie in it.

    Raises ``ValueError`` with one sentence where the file is neither of the two kinds, holds more than weights, or is
    damaged.
    """
    with path.open("rb") as file:
        start = file.read(16)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size:
        return _read_safetensors(path)
    if start[:4] == b"PK\x03\x04":
        _check_zip(path)
        return _read_torch(path)
    if start[:1] == b"\x80":  # what torch wrote before 2020: pickles, one after the other
        return _read_torch(path)
    raise ValueError("The file is neither a safetensors file nor one that torch.save wrote")


def parts(weights: Weights) -> tuple[Part, ...]:
    """The modules that ``weights`` are of, in the order of their names; what cannot be probed says why."""
    return tuple(_part(name, found) for name, found in sorted(_modules(weights).items()))


def probe(weights: Weights, asked: Asked) -> Probed:
    """Send probe sequences through a part, and the gradient of a loss on its last states back through it.

    ``SAMPLES`` sequences of white noise N(0, scale²), or of zeros, begin in the zero state. The loss is on the last
    walked state of the top layer, of both directions where there are two: ``norm`` its squared l2 norm, ``projection``
    its product with a random N(0, 1) vector, another for each sequence. State gradients are per sequence. Dropout
    between layers is off, as in evaluation.

    Raises ``ValueError`` where there is no such part, it cannot be probed, or it would take too long.
    """
    found = _modules(weights).get(asked.part)
    if found is None:
        raise ValueError(f"part must be a recurrent module of the file, but got {asked.part!r}")
    part = _part(asked.part, found)
    if part.refused:
        raise ValueError(part.refused)
    if (work := _work(part, asked)) > WORK_AT_MOST:
        fewer = int(asked.timesteps * WORK_AT_MOST / work)
        raise ValueError(
            f"{asked.timesteps} timesteps through {part.title} would take too long: at most {fewer} would not"
        )
    torch.manual_seed(asked.seed)
    x = torch.randn(asked.timesteps, SAMPLES, part.inputs, dtype=torch.float64) * asked.scale
    x = (torch.zeros_like(x) if asked.inputs == "zeros" else x).requires_grad_()
    traces: list[Trace] = []
    rows, last = x, x
    for layer in range(part.layers):
        walked = [_walk(part, asked, found, rows, layer, back, traces) for back in _directions(part)]
        rows = torch.cat([output for output, _ in walked], dim=-1)
        last = torch.cat([state for _, state in walked], dim=-1)
    loss = last.square().sum() if asked.loss == "norm" else (last * torch.randn_like(last)).sum()
    loss.backward()
    directions = [(layer, back) for layer in range(part.layers) for back in _directions(part)]
    walks = [_found(part, found, trace, *which) for trace, which in zip(traces, directions, strict=True)]
    return Probed(part, asked, tuple(walks))


def _directions(part: Part) -> tuple[bool, ...]:
    return (False, True) if part.bidirectional else (False,)


def _walk(
    part: Part, asked: Asked, found: Weights, rows: Tensor, layer: int, back: bool, traces: list[Trace]
) -> tuple[Tensor, Tensor]:
    """The output [T,B,H] and the last walked state [B,H] of one layer in one direction."""
    own = [
        found.get(f"{what}_l{layer}{'_reverse' * back}") for what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    w_ih, w_hh, b_ih, b_hh = (None if one is None else one.double() for one in own)
    assert w_ih is not None
    assert w_hh is not None
    if part.kind == "lstm":
        output, (state, _), trace = lstm(rows, None, w_ih, w_hh, b_ih, b_hh, reverse=back)
    elif part.kind == "gru":
        output, state, trace = gru(rows, None, w_ih, w_hh, b_ih, b_hh, reverse=back)
    else:
        output, state, trace = rnn(rows, None, w_ih, w_hh, b_ih, b_hh, asked.nonlinearity, reverse=back)
    traces.append(trace)
    return output, state


def _found(part: Part, found: Weights, trace: Trace, layer: int, back: bool) -> Walk:
    norms = sample_norms(trace.grad_h)
    if trace.grad_c is not None:
        norms = np.hypot(norms, sample_norms(trace.grad_c))
    by_lag = norms if back else norms[::-1]  # in reverse the last walked step is t = 0
    w_hh = found[f"weight_hh_l{layer}{'_reverse' * back}"].double().numpy()
    blocks = w_hh.reshape(-1, part.hidden, part.hidden)
    radii = [math.nan] * len(blocks)
    if part.hidden <= EIGENVALUES_AT_MOST:
        radii = [float(np.hypot(*np.moveaxis(values, -1, 0)).max()) for values in eigenvalues(w_hh)]
    return Walk(layer, back, band(by_lag), tuple(map(sigma_max, blocks)), tuple(radii))


def _work(part: Part, asked: Asked) -> float:
    """Multiplications and additions, forwards and twice as many backwards."""
    G, H, D = _BLOCKS[part.kind], part.hidden, 1 + part.bidirectional
    widths = part.inputs + (part.layers - 1) * D * H + part.layers * H
    return 6.0 * asked.timesteps * SAMPLES * D * G * H * widths


# Which modules there are


def _modules(weights: Weights) -> dict[str, dict[str, Tensor]]:
    """By the module's name its weights, by the names that torch.nn gives them."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, values in weights.items():
        if match := _NAME.fullmatch(name):
            own = f"{match['what']}_l{int(match['layer'])}{match['back'] or ''}"
            found.setdefault(match["module"] or "", {})[own] = values
    return found


def _part(name: str, found: Weights) -> Part:
    """What the module is; where its weights are none that torch.nn would make, that is what it says."""
    layers = 1 + max(int(_layer(own)) for own in found)
    both = any(own.endswith("_reverse") for own in found)
    first, projected = found.get("weight_hh_l0"), any(own.startswith("weight_hr") for own in found)
    if first is None or first.ndim != 2 or "weight_ih_l0" not in found or found["weight_ih_l0"].ndim != 2:
        return Part(name, "rnn", 0, 0, layers, both, _say(name, "it has no weight_ih_l0 and weight_hh_l0 of two axes"))
    H = first.shape[1] if not projected else first.shape[0] // 4
    kind = next((kind for kind, G in _BLOCKS.items() if H and first.shape[0] == G * H), "")
    part = Part(name, kind or "rnn", found["weight_ih_l0"].shape[1], H, layers, both)
    why = ""
    if projected:
        why = "its state is projected (proj_size), which the probe does not follow; watch it while it trains instead"
    elif not kind:
        shape = "×".join(map(str, first.shape))
        why = f"weight_hh_l0 is {shape}, which is no 1, 3 or 4 blocks of H×H, as {', '.join(KINDS.values())} have"
    else:
        why = _unlike(part, found)
    return Part(name, part.kind, part.inputs, H, layers, both, _say(name, why) if why else "")


def _layer(own: str) -> str:
    return own.removesuffix("_reverse").rpartition("_l")[2]


def _say(name: str, why: str) -> str:
    return f"{name or 'The module of the file'} cannot be probed: {why}"


def _unlike(part: Part, found: Weights) -> str:
    """Where the weights differ from those that torch.nn makes; "" where they do not."""
    G, H, D = _BLOCKS[part.kind], part.hidden, 1 + part.bidirectional
    biased = any(own.startswith("bias") for own in found)
    wanted: dict[str, tuple[int, ...]] = {}
    for layer in range(part.layers):
        for back in _directions(part):
            end = f"_l{layer}{'_reverse' * back}"
            wanted |= {f"weight_ih{end}": (G * H, part.inputs if layer == 0 else D * H), f"weight_hh{end}": (G * H, H)}
            if biased:
                wanted |= {f"bias_ih{end}": (G * H,), f"bias_hh{end}": (G * H,)}
    for own, shape in wanted.items():
        values = found.get(own)
        if values is None:
            return f"{own} is missing"
        if tuple(values.shape) != shape:
            return f"{own} must have the shape {shape}, but has {tuple(values.shape)}"
        if values.dtype not in _FLOATS:
            return f"{own} is of {str(values.dtype).removeprefix('torch.')}, not of floating-point numbers"
    if part.inputs < 1 or sum(math.prod(shape) for shape in wanted.values()) > NUMBERS_AT_MOST:
        return f"it must have 1 to {NUMBERS_AT_MOST:,} weights"
    return ""


# Reading files


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ValueError("Reading safetensors needs the package safetensors: pip install safetensors") from error
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if _NAME.fullmatch(name)}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
        raise ValueError(f"The safetensors file is damaged: {_short(error)}") from error


def _check_zip(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f"The file is damaged: {_short(error)}") from error
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError(f"The file is no checkpoint of torch: {_PLAIN_ZIP}")
    if len(entries) > ENTRIES_AT_MOST or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("The file claims to hold more than it does")


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asks = re.search(r"GLOBAL ([\w.]+)", str(error))
        for_what = f" (it asks for {asks[1][:80]})" if asks else ""
        raise ValueError(
            f"The file holds more than weights{for_what}, and nothing but weights is read, because anything else could "
            "run code: save model.state_dict() alone, or as safetensors"
        ) from error
    except Exception as error:  # a hostile file may raise whatever it likes
        raise ValueError(f"The file cannot be read as weights that torch.save wrote: {_short(error)}") from error
    return {name: values for name, values in _tensors(loaded) if _NAME.fullmatch(name)}


def _tensors(loaded: Any) -> Iterator[tuple[str, Tensor]]:
    """Every plain tensor in nested dictionaries, by its dotted name; what holds them is not in the name.

    A Lightning checkpoint has its weights under ``state_dict``, others under ``model`` or ``model_state_dict``.
    """
    waiting: list[tuple[str, Any, int]] = [("", loaded, 0)]
    seen = 0
    while waiting:
        name, one, depth = waiting.pop()
        seen += 1
        if seen > ENTRIES_AT_MOST:
            raise ValueError(f"The file holds more than {ENTRIES_AT_MOST:,} entries")
        if type(one) is torch.nn.Parameter:
            one = one.data
        if type(one) is Tensor and one.layout is torch.strided and one.device.type == "cpu" and not one.is_quantized:
            # A view may claim any size of a few numbers; what it would be copied to is what counts.
            if one.numel() * one.element_size() <= max(one.untyped_storage().nbytes(), 1):
                yield name, one.detach()
        elif isinstance(one, dict) and depth < _DEEPEST:
            inner = [(key, value) for key, value in one.items() if isinstance(key, str)]
            waiting += [(_joined(name, key, depth), value, depth + 1) for key, value in reversed(inner)]


_DEEPEST = 4


def _joined(name: str, key: str, depth: int) -> str:
    holder = depth == 0 and key in ("state_dict", "model", "model_state_dict", "module", "weights")
    return name if holder else f"{name}.{key}" if name else key


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
