"""``export`` and ``import``: runs into files for elsewhere, and back."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from diagnostics.export import tables
from diagnostics.export.archive import BundleError
from diagnostics.export.bundle import write_bundle
from diagnostics.export.gallery import Drawing, drawings
from diagnostics.export.html import figure_html
from diagnostics.export.images import FORMATS as IMAGES
from diagnostics.export.images import ExportUnavailable, to_image, unavailable
from diagnostics.export.inside import looked
from diagnostics.export.report import report_html
from diagnostics.inspection import Inspection
from diagnostics.measures.seeds import any_seeds
from diagnostics.records import Run
from diagnostics.store import RunRow, Store
from experiments.bundle import import_bundle
from experiments.cli.looking import look_into
from experiments.cli.words import find_all, open_store, plain, print_json
from experiments.inspection.kept import kept
from experiments.spec import Refusal

_ENDINGS = {".zip": "bundle", ".html": "report", ".png": "png", ".svg": "svg", ".pdf": "pdf"}
_Write = Callable[[BinaryIO], object]


def export_command(asked: argparse.Namespace) -> int:
    """Write runs to a file or a folder."""
    store = open_store(asked)
    rows = find_all(store, asked.runs)
    form = asked.format or _ENDINGS.get(Path(asked.to or "").suffix.lower(), "bundle")
    if asked.figure and form not in ("html", *IMAGES):
        raise Refusal(f"--figure must be asked for with --format html, {', '.join(IMAGES)}, but got {form}.")
    if form in IMAGES and (reason := unavailable()):
        raise Refusal(reason)
    if asked.step is not None and not asked.inspect:
        raise Refusal("--step must be asked for with --inspect, but --inspect is missing.")
    if asked.inspect:
        if form == "csv":
            raise Refusal("--inspect must be asked for with a format that has figures, but got csv.")
        look_into(store, rows, asked.step)
    try:
        target, files = _files(store, rows, form, asked)
        written = _write_all(target, files, asked.force)
    except (BundleError, ExportUnavailable) as error:
        raise Refusal(str(error)) from None
    if asked.json:
        print_json({"format": form, "files": [{"path": str(p), "bytes": p.stat().st_size} for p in written]})
    else:
        for path in written:
            print(plain(path))
    return 0


def import_command(asked: argparse.Namespace) -> int:
    """Add the runs of a bundle."""
    store = open_store(asked)
    try:
        result = import_bundle(Path(asked.file), store)
    except BundleError as error:
        raise Refusal(str(error)) from None
    if asked.json:
        print_json({"imported": result.imported, "present": result.present, "comparisons": result.comparisons})
    else:
        print(result.describe())
        for run_id in result.imported.values():
            print(run_id)
    return 0


def _files(
    store: Store, rows: Sequence[RunRow], form: str, asked: argparse.Namespace
) -> tuple[Path, list[tuple[str, _Write]]]:
    """Where to write, and what: files by their names in that folder, or one without a name, the target itself."""
    ids = [row.id for row in rows]
    stem = ids[0] if len(ids) == 1 else rows[0].comparison
    if form == "bundle":
        found = kept(store, ids)
        return Path(asked.to or f"{stem}.zip"), [("", lambda file: write_bundle(store, ids, file, inspections=found))]
    runs = [store.read(run_id) for run_id in ids]
    if form == "report":
        html = report_html(
            runs, title=rows[0].comparison_name, over_seeds=_together(asked), inspections=kept(store, ids)
        )
        return Path(asked.to or f"{stem}.html"), [("", _text([html]))]
    if form == "csv":
        return Path(asked.to or f"{stem}-csv"), list(_tables(runs))
    drawn = _drawings(runs, kept(store, ids), asked.figure, _together(asked))
    if asked.figure and len(drawn) == 1:
        return Path(asked.to or f"{stem}-{drawn[0].key}.{form}"), [("", _figure(drawn[0], form))]
    return Path(asked.to or f"{stem}-{form}"), [(f"{d.key}.{form}", _figure(d, form)) for d in drawn]


def _together(asked: argparse.Namespace) -> bool | None:
    """Whether seeds are drawn as one: not where each run was asked for, else where there are several."""
    return False if asked.each_run else None


def _tables(runs: Sequence[Run]) -> Iterable[tuple[str, _Write]]:
    yield "summary.csv", _text([tables.summary_csv(runs)])
    if any_seeds(runs):
        yield "seeds.csv", _text([tables.seeds_csv(runs)])
    yield "columns.csv", _text([tables.columns_csv()])
    for run in runs:
        yield f"{run.id}-steps.csv", _text(tables.steps_lines(run))
        yield f"{run.id}-profiles.csv", _text(tables.profiles_lines(run))


def _text(parts: Iterable[str]) -> _Write:
    return lambda file: file.writelines(part.encode() for part in parts)


def _drawings(
    runs: Sequence[Run], inspections: Sequence[Inspection], figure: str | None, over_seeds: bool | None
) -> list[Drawing]:
    drawn = drawings(runs, over_seeds=over_seeds)
    drawn += [drawing for one in looked(runs, inspections, over_seeds) for drawing in one.drawings()]
    if not drawn:
        ids = ", ".join(run.id for run in runs)
        raise Refusal(f"RUN must be a run that has recorded a training step, but got {ids}.")
    if figure is None:
        return drawn
    # A figure that is drawn per run has a key per run; its common key asks for all of them.
    chosen = [drawing for drawing in drawn if figure in (drawing.key, drawing.figure_key)]
    if not chosen:
        keys = dict.fromkeys(key for drawing in drawn for key in (drawing.figure_key, drawing.key))
        raise Refusal(f"--figure must be one of {', '.join(keys)}, but got {figure[:80]!r}.")
    return chosen


def _figure(drawing: Drawing, form: str) -> _Write:
    if form == "html":
        return lambda file: file.write(figure_html(drawing.figure, drawing.title, note=drawing.how_to_read).encode())
    return lambda file: file.write(to_image(drawing.figure, form))  # type: ignore[arg-type]  # one of IMAGES


def _write_all(target: Path, files: Sequence[tuple[str, _Write]], force: bool) -> list[Path]:
    """Write each file whole or not at all; raises ``Refusal`` where something is in the way, before writing any."""
    paths = [target / name if name else target for name, _ in files]
    if taken := next((path for path in paths if path.exists() and not (force and path.is_file())), None):
        raise Refusal(f"--to must name what does not exist yet, but {taken} does; --force writes over files.")
    for path, (_, write) in zip(paths, files, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, write)
    return paths


def _write(path: Path, write: _Write) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # the name that was asked for
    try:
        with os.fdopen(handle, "w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
