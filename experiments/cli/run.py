"""``run``: put runs into the queue, wait for them with a progress bar each, and say what came of it."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from diagnostics.export.summary import summary
from diagnostics.measures.verdict import verdict
from diagnostics.records import Run
from diagnostics.store.rows import ENDED
from diagnostics.strict_json import loads
from experiments.cli import seeds
from experiments.cli.interrupt import CtrlC
from experiments.cli.parser import SEVERAL, settings
from experiments.cli.words import open_store, plain, print_json, share, table
from experiments.cost import duration
from experiments.naming import run_names
from experiments.queue import Progress, Queue
from experiments.spec import Refusal, RunSpec, expand, predict

POLL_S = 0.1
BARS_AT_MOST = 16
SPEC_FILE_BYTES = 2**20

_BAR = "{desc} {percentage:3.0f} %|{bar}| {n_fmt}/{total_fmt}{postfix}"
"""Without tqdm's own times: those begin when the run is queued, ours come from the run."""


def run_command(asked: argparse.Namespace) -> int:
    """Submit, wait, report. 0 where every run ended or diverged, 1 where one failed, 130 where Ctrl-C stopped them."""
    specs = requested(asked)
    store = open_store(asked)
    queue = Queue(store)
    comparison, ids = queue.submit(specs, asked.name)
    seconds = duration(sum(predict(spec).seconds for spec in specs))
    print(
        f"{len(ids)} run{'s' * (len(ids) > 1)} in comparison {comparison}, about {seconds} of work.",
        file=sys.stderr,
    )
    interrupted = _wait(queue, dict(zip(ids, specs, strict=True)))
    runs = [store.read(run_id) for run_id in ids]
    if asked.json:
        over_seeds = seeds.as_json(seeds.judged(runs))
        print_json({"comparison": comparison, "runs": [summary(run) for run in runs], "over_seeds": over_seeds})
    else:
        _print(runs)
    if interrupted:
        return 130
    return 0 if all(run.state in ("finished", "diverged") for run in runs) else 1


def requested(asked: argparse.Namespace) -> list[RunSpec]:
    """The specs that the flags ask for; raises ``Refusal``."""
    changes = settings(asked)
    if asked.spec and asked.preset:
        raise Refusal("A run must start from --spec or from --preset, but got both.")
    if asked.spec:
        return [spec for base in _from_file(Path(asked.spec)) for spec in _changed(base, changes)]
    if asked.preset:
        return [spec for base in _from_preset(asked.preset) for spec in _changed(base, changes)]
    several = {f"{name}s": changes.pop(name) for name in SEVERAL if name in changes}
    return expand(**several, **changes)


def _changed(base: RunSpec, changes: Mapping[str, Any]) -> Iterator[RunSpec]:
    """The spec with the changes, once for each combination of those that have several values."""
    if not changes:
        yield base  # to the letter: nothing that had been left to us is worked out again
        return
    names = [name for name in SEVERAL if name in changes]
    common = {name: value for name, value in changes.items() if name not in SEVERAL}
    for values in itertools.product(*(changes[name] for name in names)):
        yield base.changed(**common, **dict(zip(names, values, strict=True)))


def _from_preset(key: str) -> Sequence[RunSpec]:
    from experiments.presets import PRESETS

    if key not in PRESETS:
        raise Refusal(f"preset must be one of {', '.join(PRESETS)}, but got {key[:80]!r}")
    return PRESETS[key].specs()


def _from_file(path: Path) -> list[RunSpec]:
    """The specs in a JSON file: one object, or a list of them."""
    try:
        with path.open("rb") as file:
            text = file.read(SPEC_FILE_BYTES + 1)
    except OSError as error:
        raise Refusal(f"--spec must be a file that can be read, but got {path}: {error.strerror}.") from None
    if len(text) > SPEC_FILE_BYTES:
        raise Refusal(f"--spec must be a file of at most {SPEC_FILE_BYTES} bytes, but {path} is larger.")
    try:
        found = loads(text)
    except (ValueError, RecursionError):
        raise Refusal(f"--spec must be a file of strict JSON, but {path} is not.") from None
    listed = found if isinstance(found, list) else [found]
    if not listed or not all(isinstance(fields, dict) for fields in listed):
        raise Refusal(f"--spec must hold a spec or a list of specs, but {path} holds something else.")
    return [RunSpec.make(**fields) for fields in listed]


def _wait(queue: Queue, specs: Mapping[str, RunSpec]) -> bool:
    """Until every run has ended; True where Ctrl-C stopped them. A second Ctrl-C raises ``KeyboardInterrupt``."""
    stopped = False
    with contextlib.ExitStack() as stack:
        bars = _bars(specs, stack)
        ctrl_c = stack.enter_context(CtrlC())
        waiting = list(specs)
        while waiting:
            if ctrl_c.pressed and not stopped:
                tqdm.write("Stopping; what was recorded is kept. Ctrl-C again leaves at once.", file=sys.stderr)
                for run_id in waiting:
                    queue.stop(run_id)
                stopped = True
                ctrl_c.let_go()
            waiting = [run_id for run_id in waiting if not _shown(queue.progress(run_id), bars.get(run_id))]
            if waiting:
                ctrl_c.sleep(max(POLL_S, 0.02 * len(waiting)))
    return stopped


def _bars(specs: Mapping[str, RunSpec], stack: contextlib.ExitStack) -> dict[str, Any]:
    """A bar per run on a terminal; none elsewhere, nor where they would not fit."""
    if not sys.stderr.isatty() or len(specs) > BARS_AT_MOST:
        return {}
    labels = dict(zip(specs, run_names(list(specs.values())), strict=True))
    width = max(map(len, labels.values()))
    return {
        run_id: stack.enter_context(
            tqdm(total=specs[run_id].steps, desc=f"{label:{width}}", position=i, bar_format=_BAR)
        )
        for i, (run_id, label) in enumerate(labels.items())
    }


def _shown(progress: Progress, bar: Any) -> bool:
    """Whether the run has ended; its bar is brought up to date."""
    if bar is not None:
        bar.n = progress.steps_done
        left = f"{duration(progress.seconds_left)} left" if progress.seconds_left else ""
        loss = "" if progress.loss is None else f"loss {progress.loss:.3g}"
        busy = progress.detail if progress.state == "running" else ""
        bar.set_postfix_str(", ".join(filter(None, [busy or progress.state, left, loss])), refresh=True)
    return progress.state in ENDED


def _print(runs: Sequence[Run]) -> None:
    judged = [verdict(run) for run in runs]
    if len(runs) > 1:
        header = ("id", "name", "state", "verdict", "reach", "of", "success", "chance")
        rows = [
            (
                r.id,
                r.name,
                r.state,
                j.kind or "–",
                "–" if j.reach is None else j.reach,
                j.of,
                share(j.success),
                share(j.chance),
            )
            for r, j in zip(runs, judged, strict=True)
        ]
        print(table(header, rows), end="\n\n")
    if found := seeds.judged(runs):
        print(seeds.as_table(found), end="\n\n")
    for run, said in zip(runs, judged, strict=True):
        if run.detail and run.state != "finished":
            print(plain(run.detail))
        print(plain(said.sentence))
        print(run.id)
