"""Which loops serve a tensor, and what is said where the compiled ones cannot."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from diagnostics.recurrence import gru, loops, paths, reference, rnn
from diagnostics.recurrence.fused import compiled, processor

ROOT = Path(__file__).parents[3]
X = torch.zeros(1)

RUN = """
import json, sys, warnings
for name in sys.argv[1].split():
    sys.modules[name] = None
import torch
from diagnostics.recurrence import gru
dtype = getattr(torch, sys.argv[2])
def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        output, _, _ = gru(draw(5, 3, 2), None, draw(12, 2).requires_grad_(), draw(12, 4), None, None)
        output.sum().backward()
loaded = [name for name in ("numba", "llvmlite") if sys.modules.get(name)]
print(json.dumps([[str(w.message) for w in caught if w.category is RuntimeWarning], loaded, output[-1].tolist()]))
"""


def elsewhere(blocked: str, dtype: str, **environment: str) -> tuple[list[str], list[str], list[list[float]]]:
    """A GRU in a process of its own: what it warned of, which compilers it loaded, and its output."""
    command = [sys.executable, "-c", RUN, blocked, dtype]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=120)
    return tuple(json.loads(done.stdout))


def expected() -> torch.Tensor:
    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    return reference.gru(draw(5, 3, 2), None, draw(12, 2), draw(12, 4), None, None)[0][-1]


@pytest.fixture
def unsettled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not run anything yet."""
    monkeypatch.setattr(paths, "_settled", {})
    monkeypatch.setattr(paths, "_said", [])


@pytest.mark.parametrize("missing", ["numba", "llvmlite"])
def test_where_the_compiler_is_missing_the_plain_loops_serve_and_one_warning_says_so(
    missing: str, tmp_path: Path
) -> None:
    said, loaded, output = elsewhere(missing, "float32", GRADREACH_CACHE=str(tmp_path))
    (sentence,) = said
    assert sentence == (
        f"the recurrences run on the plain loops, which are slower: {missing} is not installed; "
        'pip install "gradreach[fast]" brings what the fast loops need'
    )
    assert missing not in loaded
    torch.testing.assert_close(torch.tensor(output, dtype=torch.float64), expected(), rtol=1e-5, atol=1e-6)


WATCHED = """
import sys, warnings
warnings.simplefilter("error")
sys.modules["numba"] = None
import torch
from diagnostics import watch
model = torch.nn.GRU(2, 3)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
with watch(model, every=1, store=False) as w:
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(5, 3, 2))[0].sum().backward()
        w.step(optimizer)
print(*w.covered, sep="\\n")
"""


def test_a_watched_training_is_not_stopped_where_the_compiler_is_missing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADREACH_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", WATCHED]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    sentence = (
        "the recurrences run on the plain loops, which are slower: numba is not installed; "
        'pip install "gradreach[fast]" brings what the fast loops need'
    )
    assert f"T{sentence[1:]}." in done.stdout.splitlines()
    assert done.stderr.splitlines().count(sentence) == 1


def test_what_is_logged_is_no_warning(unsettled: None, caplog: pytest.LogCaptureFixture) -> None:
    with paths.logged():
        paths._say_once("there is none")
        paths._say_once("there is none")
    (told,) = paths.said()
    assert [record.message for record in caplog.records] == [told]
    paths._said.clear()
    with pytest.warns(RuntimeWarning, match="there is none"):
        paths._say_once("there is none")


def test_what_the_plain_loops_serve_by_design_loads_no_compiler_and_says_nothing() -> None:
    said, loaded, output = elsewhere("", "float64")
    assert (said, loaded) == ([], [])
    torch.testing.assert_close(torch.tensor(output, dtype=torch.float64), expected())


def test_float32_on_the_cpu_takes_the_compiled_loops() -> None:
    assert paths.loops_for(X, "gru") is not loops
    assert paths.loops_for(X.double(), "gru") is loops
    assert paths.loops_for(X.to("meta"), "gru") is loops


@pytest.mark.filterwarnings("ignore")  # torch's own, of tracing any function with a backward
def test_what_torch_compiles_is_right() -> None:
    x, w_ih, w_hh = torch.randn(4, 3, 5), torch.randn(18, 5), torch.randn(18, 6, requires_grad=True)

    def last(x: torch.Tensor) -> torch.Tensor:
        return gru(x, None, w_ih, w_hh, None, None)[0][-1]

    compiled_by_torch = torch.compile(last, backend="eager")
    for _ in range(2):
        torch.testing.assert_close(compiled_by_torch(x), last(x))
    (got,), (want,) = (torch.autograd.grad(run(x).square().sum(), [w_hh]) for run in (compiled_by_torch, last))
    torch.testing.assert_close(got, want)


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_tensors_whose_numbers_are_not_in_memory_are_refused() -> None:
    x, w = torch.randn(4, 3, 5), torch.randn(5, 5)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = mode.from_tensor(x), None, mode.from_tensor(w), mode.from_tensor(w), None, None
        with pytest.raises(RuntimeError, match="got a FakeTensor that is not there"):
            rnn(*fake)
    with pytest.raises(RuntimeError, match="got a Tensor that is not there"):
        rnn(torch._neg_view(x), None, w, w, None, None)


def test_the_path_can_be_chosen_for_a_block() -> None:
    with paths.use("plain"):
        assert paths.loops_for(X, "rnn") is loops
        with paths.use("fused"):
            assert paths.loops_for(X, "rnn") is not loops
            assert paths.loops_for(X.double(), "rnn") is loops
        assert paths.loops_for(X, "rnn") is loops
    absurd = 'path must be "plain" or "fused", but got \'quick\''
    with pytest.raises(ValueError, match=absurd), paths.use("quick"):  # type: ignore[arg-type]
        pass
    assert paths.loops_for(X, "rnn") is not loops


@pytest.mark.parametrize("forward", ["plain", "fused"])
def test_a_backward_pass_takes_the_path_of_its_forward_pass(forward: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from diagnostics.recurrence.fused import loops as fused

    taken: list[str] = []
    for name, module in (("plain", loops), ("fused", fused)):
        run = module.rnn_backward
        monkeypatch.setattr(module, "rnn_backward", lambda *a, name=name, run=run: (taken.append(name), run(*a)))
    x, w, other = torch.randn(3, 2, 4), torch.randn(4, 4, requires_grad=True), {"plain": "fused", "fused": "plain"}
    with paths.use(forward):  # type: ignore[arg-type]
        output, _, _ = rnn(x, None, w, w, None, None)
    with paths.use(other[forward]):  # type: ignore[arg-type]
        output.sum().backward()
    assert set(taken) == {forward}


def test_where_compiling_fails_that_kind_of_cell_is_plain_for_good(
    unsettled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diagnostics.recurrence.fused import loops as fused

    def fail(*_: object) -> None:
        raise ValueError("no\nluck")

    assert paths.loops_for(X, "rnn") is fused
    for kind in ("gru", "lstm"):
        broken = compiled.Kernel(f"diagnostics.recurrence.fused.{kind}:forward", "int64")
        monkeypatch.setitem(fused.KERNELS, kind, (broken,))
    with monkeypatch.context() as context:
        context.setattr(compiled, "_compile", fail)
        with pytest.warns(RuntimeWarning, match=r"compiling faster ones failed \(ValueError: no luck\); pip install"):
            assert paths.loops_for(X, "gru") is loops
        assert paths.loops_for(X, "lstm") is loops  # without a second warning, which here would be an error
    assert paths.loops_for(X, "gru") is loops
    assert paths.loops_for(X, "rnn") is fused
    assert paths.described().startswith("plain: compiling faster ones failed")
    assert paths.described(["rnn"]).startswith("compiled for ")
    with paths.use("fused"), pytest.raises(RuntimeError, match='path must be "plain" here, but got "fused": compiling'):
        paths.loops_for(X, "gru")


def test_a_processor_that_does_not_suit_is_told_without_a_remedy(
    unsettled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "_has", dict)
    assert paths.described().endswith("has no fused multiply-add on vectors")  # asked, it says so without a warning
    with pytest.warns(RuntimeWarning, match=r"has no fused multiply-add on vectors$"):
        assert paths.loops_for(X, "rnn") is loops


def test_a_processor_has_a_name(unsettled: None) -> None:
    assert paths.described() == f"compiled for {processor.name()} by numba {importlib.metadata.version('numba')}"
    with paths.use("plain"):
        assert paths.described() == "plain: as it was asked for"
    assert processor.lanes() in (4, 8, 16)


def test_warming_leaves_nothing_for_the_first_run(unsettled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from diagnostics.recurrence.fused import loops as fused

    kernels = {
        kind: tuple(compiled.Kernel(kernel.source, ", ".join(kernel.arguments)) for kernel in known)
        for kind, known in fused.KERNELS.items()
    }
    monkeypatch.setattr(fused, "KERNELS", kernels)
    assert paths.warm(["gru"]) > 0
    assert all(kernel.origin for kernel in kernels["gru"])
    assert not all(kernel.origin for kernel in kernels["lstm"])


def test_warming_a_little_at_a_time_comes_to_an_end(unsettled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from diagnostics.recurrence.fused import loops as fused

    shared = {
        kernel: compiled.Kernel(kernel.source, ", ".join(kernel.arguments))
        for known in fused.KERNELS.values()
        for kernel in known
    }
    kernels = {kind: tuple(shared[kernel] for kernel in known) for kind, known in fused.KERNELS.items()}
    monkeypatch.setattr(fused, "KERNELS", kernels)
    steps = 0
    while paths.warm_a_little():
        steps += 1
        assert sum(bool(kernel.origin) for kernel in shared.values()) <= steps
    assert all(kernel.origin for kernel in shared.values())
    assert all(paths.loops_for(X, kind) is fused for kind in paths.KINDS)


def test_warming_a_little_where_nothing_compiles_says_so_once(unsettled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diagnostics.recurrence.fused.loops", None)
    monkeypatch.delattr("diagnostics.recurrence.fused.loops")
    with pytest.warns(RuntimeWarning, match="compiling faster ones failed") as said:
        steps = [paths.warm_a_little() for _ in range(5)]
    assert steps == [True, True, True, True, False]
    assert len(said) == 1


def test_what_must_be_compiled_first_is_announced(unsettled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from diagnostics.recurrence.fused import loops as fused

    class Slow:
        def load(self, before_compiling: Callable[[], object]) -> None:
            before_compiling()

    told: list[str] = []
    monkeypatch.setitem(fused.KERNELS, "rnn", (Slow(),))
    paths.warm(["rnn"], lambda: told.append("compiling"))
    assert told == ["compiling"]


def test_the_compiled_loops_agree_with_the_twin() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x, w = torch.randn(5, 3, 4), torch.randn(12, 4)
        output, _, _ = gru(x, None, w, w, None, None)
    wide = reference.gru(x.double(), None, w.double(), w.double(), None, None)[0]
    torch.testing.assert_close(output.double(), wide, rtol=1e-5, atol=1e-6)
