from __future__ import annotations

import contextlib
import dataclasses
import io
import zipfile

import numpy as np
import pytest

from diagnostics.inspection import QUANTITIES, SECTIONS, Inspection, load, save, which_gradient

SIZES = {"L": 2, "T": 5, "B": 3, "H": 4, "S": 8, "G": 4, "J": 2, "K": 3, "M": 3, "A": 2, "R": 4, "P": 3, "N": 6, "2": 2}


def arrays() -> dict[str, np.ndarray]:
    """Every quantity, of an LSTM, with nan, infinities and zeros among the numbers."""
    rng = np.random.default_rng(0)
    made = {}
    for name, quantity in QUANTITIES.items():
        shape = tuple(SIZES[axis.partition("+")[0]] + ("+" in axis) for axis in quantity.axes)
        if quantity.dtype == "U":
            made[name] = np.array([f"tensor {n}" for n in range(shape[0])])
        else:
            values = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, 1e-300], shape)
            made[name] = (rng.integers(9, size=shape) if quantity.dtype == "i8" else values).astype(quantity.dtype)
    return made


def made(**changes) -> Inspection:
    fields = {
        "run_id": "r-1a2b3c4",
        "step": 40,
        "cell": "lstm",
        "kind": "lstm",
        "nonlinearity": "",
        "layers": 2,
        "tokens": (("in", "Überlingen", "I", "say", "___"),) * 3,
        "informative_steps": ((1,), (1, 3), ()),
        "loss_step": 4,
        "arrays": arrays(),
        "truncate": 3,
    }
    return Inspection(**(fields | changes))


def test_what_is_saved_is_loaded_to_the_bit(tmp_path):
    saved = made()
    save(saved, tmp_path / "one.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["one.npz"]
    found = load(tmp_path / "one.npz")
    for field in dataclasses.fields(Inspection):
        if field.name != "arrays":
            assert getattr(found, field.name) == getattr(saved, field.name)
    assert list(found) == list(QUANTITIES)
    for name in saved:
        assert found[name].dtype == saved[name].dtype
        assert found[name].tobytes() == saved[name].tobytes()
    assert (found.sections, found.timesteps, found.samples) == (tuple(SECTIONS), 5, 3)
    assert found.gate_names == ("i", "f", "g", "o")
    assert "h" in found


def test_sections_are_those_whose_quantities_are_there():
    few = {name: values for name, values in arrays().items() if QUANTITIES[name].section in ("theory", "states")}
    assert made(arrays=few).sections == ("states", "theory")
    assert set(SECTIONS) == {quantity.section for quantity in QUANTITIES.values()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "cnn"}, "kind must be one of rnn, gru, lstm, but got 'cnn'"),
        ({"tokens": ()}, "tokens must hold samples of one length"),
        ({"tokens": (("a", "b"), ("c",))}, "tokens must hold samples of one length"),
        ({"informative_steps": ((1,),)}, "informative_steps must hold one entry for each of 3 samples, but got 1"),
        ({"loss_step": 5}, "loss_step must be a timestep below 5, but got 5"),
        ({"truncate": 5}, "truncate must be 0 or a chunk length below 5, but got 5"),
        ({"arrays": {"speed": np.zeros(1)}}, "quantity must be one of h, .*, but got 'speed'"),
        ({"arrays": {"decay": np.zeros(3)}}, "the axis L of decay must have 2 entries, but has 3"),
        ({"arrays": {"decay": np.zeros((2, 1))}}, r"decay must be an array of f8 \[L\], but got float64 of shape"),
        ({"arrays": {"decay": np.zeros(2, "f4")}}, r"decay must be an array of f8 \[L\], but got float32"),
        ({"arrays": {"weight_grad": np.zeros((2, 5, 4))}}, r"the axis G\+1 of weight_grad must have 5 entries"),
        ({"arrays": {"eigenvalues": np.zeros((2, 4, 4, 3))}}, "the axis 2 of eigenvalues must have 2 entries"),
        (
            {"arrays": {"grad_histogram": np.zeros((1, 6), "i8"), "bin_edges_log10": np.zeros(6)}},
            r"the axis N\+1 of bin_edges_log10 must have 7 entries, but has 6",
        ),
        ({"arrays": {"parameter_names": np.zeros(2)}}, "parameter_names must be an array of U"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        made(**changes)


def test_damage_is_one_sentence_that_names_the_file(tmp_path):
    path = tmp_path / "one.npz"
    save(made(), path)
    whole = path.read_bytes()
    for hurt in (b"", b"PK\x03\x04 nothing", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(hurt)
        with pytest.raises(ValueError, match=r"one\.npz is no whole inspection: "):
            load(path)
    rng = np.random.default_rng(0)
    for place in rng.integers(len(whole), size=300):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with contextlib.suppress(ValueError):  # nothing else is raised; else the flip is where nobody reads
            found = load(path)
            assert all(found[name].tobytes() == values.tobytes() for name, values in arrays().items())


def test_no_pickle_is_ever_opened(tmp_path):
    path = tmp_path / "one.npz"
    np.savez(path, allow_pickle=True, about=np.array([{"run": "me"}], dtype=object))
    with pytest.raises(ValueError, match="no whole inspection: Object arrays cannot be loaded"):
        load(path)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (b"not JSON", "no whole inspection"),
        (b'{"format": 2}', "its format must be 3, but is 2"),
        (b'{"format": 3, "quantities": ["h"]}', "it does not hold the quantities that it names"),
        (b'{"format": 3, "quantities": [], "run_id": 7}', "run_id should be str"),
        (b"[]", "no whole inspection"),
    ],
)
def test_what_the_file_says_of_itself_is_checked(tmp_path, about, message):
    path = tmp_path / "one.npz"
    np.savez(path, about=np.frombuffer(about, np.uint8))
    with pytest.raises(ValueError, match=message):
        load(path)


def test_a_declared_size_is_refused_before_it_is_allocated(tmp_path, monkeypatch):
    path = tmp_path / "one.npz"
    save(made(), path)
    monkeypatch.setattr("diagnostics.inspection.LARGEST_FILE", 1000)
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert sum(info.file_size for info in archive.infolist()) > 1000
    with pytest.raises(ValueError, match="it unpacks to more than 1000 bytes"):
        load(path)


def test_it_is_said_whose_gradient_was_truncated_in_training():
    whole, cut = made(truncate=0), made()
    assert which_gradient([("LSTM", whole)]) == ""
    assert which_gradient([("LSTM", cut)]).startswith(
        "Shown is the full gradient, through all timesteps, while training used chunks of 3: "
    )
    beside = which_gradient([("whole", whole), ("cut", cut), ("shorter", made(truncate=2))])
    assert beside.startswith("Shown of cut, shorter is the full gradient")
    assert "chunks of 2 or 3" in beside
