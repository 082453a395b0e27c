"""One store and one warm worker for all tests of the command line: each start of a worker costs seconds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from diagnostics.store import Store
from experiments.cli import main

ROOT = Path(__file__).parents[3]
TINY = ("--task", "france", "--gap", "5", "--hidden", "4", "--embedding", "4", "--batch", "4", "--steps", "3")


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as strict JSON."""
        return json.loads(self.out, parse_constant=refuse)


def refuse(literal: str) -> float:
    raise AssertionError(f"{literal} is not JSON")


def process(*arguments: str, variables: Mapping[str, str] | None = None, **options: Any) -> "subprocess.Popen[str]":
    """The command line as a process of its own, as people start it."""
    command = [sys.executable, "-m", "experiments", *arguments]
    environment = {**os.environ, **(variables or {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, env=environment, **pipes, **options)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cli") / "store"
    yield path
    end_workers(path)


def end_workers(path: Path) -> None:
    """End the workers of a store, which would wait for more to do."""
    for worker in Store.open(path).workers.rows():
        if worker.pid is not None and psutil.pid_exists(worker.pid):
            process = psutil.Process(worker.pid)
            if "experiments.worker" in " ".join(process.cmdline()):
                process.kill()


@pytest.fixture(scope="session")
def trained(folder: Path) -> Said:
    """The answer of one small comparison: tanh and GRU, in the shared store."""
    run = process("--store", str(folder), "run", *TINY, "--cell", "tanh", "gru", "--name", "tiny", "--json")
    out, err = run.communicate(timeout=120)
    return Said(run.returncode, out, err)


@pytest.fixture
def say(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run a command here, on the shared store or on one of the test's own, whose queue no worker waits for."""

    def run(*arguments: str, store: Store | None = None) -> Said:
        capsys.readouterr()
        try:
            status = main([*arguments, "--store", str(store.path if store else folder)])
        except SystemExit as error:  # --help and --version
            status = int(error.code or 0)
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


@pytest.fixture
def ids(trained: Said) -> list[str]:
    return [run["id"] for run in trained.json()["runs"]]
