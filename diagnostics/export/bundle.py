"""One zip that holds a comparison whole: to read, to analyse elsewhere, to import, and to run again.

    README.txt  manifest.json  report.html  summary.csv  columns.csv  specs.json
    figures/KEY.json  figures/KEY.svg …       (images only where a browser can draw them)
    runs/ID/spec.json  runs/ID/steps.csv  runs/ID/profiles.csv  runs/ID/run.sqlite

``manifest.json`` names every other file with its size and SHA-256. Bundles come from strangers: ``read_bundle`` checks
the archive, the manifest, every digest and every run file before the store is touched.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from diagnostics.export import tables
from diagnostics.export.archive import MAX_FILE_BYTES, MAX_TOTAL_BYTES, BundleError
from diagnostics.export.gallery import Drawing, drawings
from diagnostics.export.images import ExportUnavailable, Format, to_image, unavailable
from diagnostics.export.intake import ImportResult, read_bundle
from diagnostics.export.manifest import FORMAT, MAX_RUNS, VERSION
from diagnostics.export.report import report_html
from diagnostics.inspection import Inspection
from diagnostics.measures.seeds import any_seeds
from diagnostics.records import Run
from diagnostics.store import Store
from diagnostics.strict_json import dumps
from diagnostics.version import VERSION as RELEASE

__all__ = ["BundleError", "ImportResult", "bundle_bytes", "read_bundle", "write_bundle"]


IMAGES: tuple[Format, ...] = ("png", "svg")
"""The images of a bundle, wherever it is made: one to paste anywhere, one to scale."""


def bundle_bytes(
    store: Store,
    run_ids: Sequence[str],
    *,
    title: str = "",
    images: Sequence[Format] = IMAGES,
    inspections: Sequence[Inspection] = (),
) -> bytes:
    """The bundle of these runs, in memory; see :func:`write_bundle`."""
    file = io.BytesIO()
    write_bundle(store, run_ids, file, title=title, images=images, inspections=inspections)
    return file.getvalue()


def write_bundle(
    store: Store,
    run_ids: Sequence[str],
    file: BinaryIO,
    *,
    title: str = "",
    images: Sequence[Format] = IMAGES,
    inspections: Sequence[Inspection] = (),
) -> None:
    """Write the runs' bundle into ``file``, which must be seekable.

    Runs must have ended; those that never began hold nothing and are left out. ``images`` are the formats of the
    figures, each a few tenths of a second per figure; none where no browser is found. ``inspections`` of the runs are
    in its report; whoever imports it computes them again from the weights in the run files.

    Raises ``BundleError`` where there is nothing to write or it would be larger than what ``read_bundle`` accepts,
    ``StoreError`` on damage.
    """
    rows = [store.row(run_id) for run_id in dict.fromkeys(run_ids)]
    if waiting := next((row.id for row in rows if row.state in ("queued", "running")), None):
        raise BundleError(
            f"A bundle must hold runs that have ended, but {waiting} is still {store.row(waiting).state}."
        )
    held = [row for row in rows if store.run_file(row.id).exists()]
    if not held:
        raise BundleError("A bundle must hold at least one run that has recorded something, but got none.")
    if len(held) > MAX_RUNS:
        raise BundleError(f"A bundle must hold at most {MAX_RUNS} runs, but got {len(held)}.")
    runs = [store.read(row.id) for row in held]
    title = title or held[0].comparison_name or "gradreach comparison"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        writer = _Writer(archive)
        drawn = drawings(runs)
        writer.add("report.html", [report_html(runs, title=title, drawn=drawn, inspections=inspections)])
        writer.add("summary.csv", [tables.summary_csv(runs)])
        if any_seeds(runs):
            writer.add("seeds.csv", [tables.seeds_csv(runs)])
        writer.add("columns.csv", [tables.columns_csv()])
        writer.add("specs.json", [dumps([run.spec for run in runs], indent=2) + "\n"])
        note = _add_figures(writer, drawn, images)
        for run in runs:
            _add_run(writer, store, run)
        left_out = [row.id for row in rows if row not in held]
        writer.add("README.txt", [_readme(title, runs, note, left_out)])
        about = [
            {
                "id": r.id,
                "name": r.name,
                "state": r.state,
                "comparison": r.comparison,
                "comparison_name": r.comparison_name,
            }
            for r in held
        ]
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "gradreach": RELEASE,
            "created_s": time.time(),
            "title": title,
        }
        writer.add("manifest.json", [dumps({**manifest, "runs": about, "files": writer.files}, indent=1) + "\n"])


class _Writer:
    """Adds files to an archive and keeps what the manifest says of them."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.files: list[dict[str, str | int]] = []

    def add(self, path: str, parts: Iterable[str | bytes], *, packed: bool = True) -> None:
        """Add the file ``path`` from its parts, text as UTF-8."""
        info = zipfile.ZipInfo(path, time.localtime()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        info.external_attr = 0o100644 << 16
        digest, size = hashlib.sha256(), 0
        with self.archive.open(info, "w") as file:
            for part in parts:
                block = part.encode("utf-8", "replace") if isinstance(part, str) else part
                size += len(block)
                if size > MAX_FILE_BYTES:
                    raise BundleError(
                        f"A file of a bundle must be at most {MAX_FILE_BYTES} bytes, but {path} is larger."
                    )
                digest.update(block)
                file.write(block)
        self.files.append({"path": path, "bytes": size, "sha256": digest.hexdigest()})
        if sum(int(entry["bytes"]) for entry in self.files) > MAX_TOTAL_BYTES:
            raise BundleError(f"A bundle must unpack to at most {MAX_TOTAL_BYTES} bytes: export fewer runs at once.")


def _add_figures(writer: _Writer, drawn: Sequence[Drawing], images: Sequence[Format]) -> str:
    """Add every figure; returns what to say about images that are missing, or ``""``."""
    reason = unavailable() if images else ""
    for drawing in drawn:
        writer.add(f"figures/{drawing.key}.json", [drawing.json])
        for image_format in () if reason else images:
            try:
                writer.add(f"figures/{drawing.key}.{image_format}", [to_image(drawing.figure, image_format)])
            except ExportUnavailable as error:
                reason = str(error)
                break
    return reason


def _add_run(writer: _Writer, store: Store, run: Run) -> None:
    folder = f"runs/{run.id}"
    writer.add(f"{folder}/spec.json", [dumps(run.spec, indent=2) + "\n"])
    writer.add(f"{folder}/steps.csv", tables.steps_lines(run))
    writer.add(f"{folder}/profiles.csv", tables.profiles_lines(run))
    with tempfile.TemporaryDirectory(prefix="gradreach-") as temporary:
        copy = Path(temporary) / "run.sqlite"
        store.copy_run_file(run.id, copy)
        # Not packed: its numbers do not get smaller, and a run of exact zeros would look like a bomb.
        writer.add(f"{folder}/run.sqlite", _blocks(copy), packed=False)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def _readme(title: str, runs: Sequence[Run], note: str, left_out: Sequence[str]) -> str:
    lines = [
        title,
        "",
        "report.html          everything on one page; works offline",
        "figures/             each figure as plotly JSON, and as an image where a browser could draw it",
        "summary.csv          one line per run; columns.csv says what the columns of the tables mean",
        *["seeds.csv            one line per group of runs that differ only in their seed"] * any_seeds(runs),
        "runs/ID/             spec.json, steps.csv, profiles.csv, and run.sqlite with every number and weight kept",
        "manifest.json        every file with its size and SHA-256",
        "",
        "Import it:           python -m experiments import THIS_FILE      (or on the page: Runs, Import)",
        "Run it all again:    python -m experiments run --spec specs.json",
        "Run one again:       python -m experiments run --spec runs/ID/spec.json",
        "",
        "The same spec on the same build and processor, in one thread, gives the same numbers.",
        *([f"Images: {note}"] if note else []),
        *([f"Left out, because they never began: {', '.join(left_out)}"] if left_out else []),
        "",
        *(f"{run.id}  {run.name}  ({run.state})" for run in runs),
    ]
    return "\n".join(lines) + "\n"
