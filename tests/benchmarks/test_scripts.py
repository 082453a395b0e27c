"""The benchmarks run from beginning to end; how fast anything is depends on the machine and is tested nowhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted({path.stem for path in BENCHMARKS.glob("[a-z]*.py")} - {"page_time"})  # which takes a browser


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_quick_run_prints_figures_in_words_and_columns(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{script}.py"), "--quick"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) >= 3
    figures = [float(figure) for figure in re.findall(r"\d+\.\d+", done.stdout.partition("\n")[2])]
    assert any(figure > 0 for figure in figures)
    assert "nan" not in done.stdout


def test_step_time_takes_a_path_by_name() -> None:
    command = [sys.executable, str(BENCHMARKS / "step_time.py"), "--quick", "--path", "plain", "--cell", "tanh"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "ours plain" in printed.splitlines()[0]
