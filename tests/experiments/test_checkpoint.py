"""A file of weights is looked into by a process of its own, which takes nobody with it."""

from __future__ import annotations

import gc
import io
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from diagnostics.checkpoint import Asked
from experiments.checkpoint import job as jobs
from experiments.checkpoint import process
from experiments.checkpoint.job import Job, State
from experiments.spec import Refusal


def content(what: Any) -> bytes:
    file = io.BytesIO()
    torch.save(what, file)
    return file.getvalue()


def ended(job: Job) -> State:
    deadline = time.monotonic() + 120
    while (state := job.state()).name == "working":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return state


def test_from_a_file_to_a_profile_and_nothing_is_left() -> None:
    job = Job.of(content({"state_dict": {f"rnn.{k}": v for k, v in nn.GRU(3, 4).state_dict().items()}}))
    assert ended(job) == State("done")
    [part] = job.parts()
    assert part.title == "rnn · nn.GRU, 1 layer of 4"
    job.ask(Asked("rnn", timesteps=12))
    assert ended(job) == State("done")
    assert job.probed().walks[0].gradient.shape == (12, 3)
    job.ask(Asked("other", timesteps=12))
    assert ended(job) == State("failed", "part must be a recurrent module of the file, but got 'other'")
    folder = job.folder
    del job
    assert not folder.exists()


def test_what_is_refused_is_a_sentence() -> None:
    assert "neither a safetensors file nor one that torch.save wrote" in ended(Job.of(b"no weights at all")).words
    with pytest.raises(Refusal, match="must have 1 byte to 200 MiB, but this one has 0 bytes"):
        Job.of(b"")


def test_a_file_that_is_too_large_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "FILE_AT_MOST", 10)
    with pytest.raises(Refusal, match="but this one has 11 bytes"):
        Job.of(bytes(11))


def test_what_takes_too_long_or_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job.of(content(nn.GRU(3, 4).state_dict()))
    monkeypatch.setattr(jobs, "TASK_AT_MOST_S", -1.0)
    assert "was ended" in job.state().words
    assert job.state().name == "failed"  # and stays so: its process is gone


def test_memory_that_is_not_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diagnostics.watching import probe

    def greedy(path: Path) -> None:
        raise MemoryError

    monkeypatch.setattr(process, "_bound", lambda: None)
    monkeypatch.setattr(probe, "read", greedy)
    assert process.main(["read", str(tmp_path)]) == 1
    assert (tmp_path / jobs.FAILED).read_text().startswith("The memory was not enough")


def test_a_job_that_goes_in_a_circle_goes_without_a_word() -> None:
    job = Job.of(content(nn.GRU(3, 4).state_dict()))
    folder, circle = job.folder, {"job": job}
    circle["circle"] = circle  # type: ignore[assignment]
    del job, circle
    gc.collect()
    assert not folder.exists()
