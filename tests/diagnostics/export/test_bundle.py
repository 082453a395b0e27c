"""Bundles: what goes in comes out elsewhere, and what a stranger changed is refused before anything is written."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnostics.export import bundle, images, intake
from diagnostics.export.archive import BundleError
from diagnostics.export.bundle import bundle_bytes, read_bundle
from diagnostics.store import Store

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def ids(store: Store) -> list[str]:
    return [row.id for row in store.runs()[::-1]]


@pytest.fixture(scope="module")
def made(store: Store, ids: list[str]) -> bytes:
    """A bundle with a short report: what is tested here packs and unpacks it over and over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "report_html", lambda runs, **_: "<p>a report</p>")
        return bundle_bytes(store, ids, images=())


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "other")


def unzipped(content: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def signed(files: Files, **changes: Any) -> bytes:
    """The bundle of ``files`` with a manifest that agrees with them: what somebody who means harm would send."""
    import hashlib

    manifest = json.loads(files["manifest.json"])
    manifest["files"] = [
        {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in files.items()
        if path != "manifest.json"
    ]
    return zipped({**files, "manifest.json": json.dumps(manifest | changes).encode()})


def contents(store: Store) -> tuple[list[str], list[str]]:
    return [row.id for row in store.runs(include_deleted=True)], sorted(p.name for p in store.layout.runs.iterdir())


def refused(content: bytes, store: Store, words: str, **options: Any) -> None:
    before = contents(store)
    with pytest.raises(BundleError, match=words) as caught:
        read_bundle(content, store, **options)
    assert "\n" not in str(caught.value)
    assert contents(store) == before


def test_everything_promised_is_inside(made: bytes, ids: list[str]) -> None:
    files = unzipped(made)
    expected = {"README.txt", "manifest.json", "report.html", "summary.csv", "seeds.csv", "columns.csv", "specs.json"}
    shared = ("ribbon", "profile", "learning", "clipping", "what_if_norm")
    expected |= {f"figures/{key}.json" for key in shared}
    expected |= {f"figures/heatmap-{ids[0]}.json"}  # of both seeds
    expected |= {f"runs/{r}/{n}" for r in ids for n in ("spec.json", "steps.csv", "profiles.csv", "run.sqlite")}
    assert set(files) == expected
    assert [spec["seed"] for spec in json.loads(files["specs.json"])] == [0, 1]
    assert list(json.loads(files["figures/profile.json"])) == ["data", "layout"]
    rows = list(csv.DictReader(io.StringIO(files["summary.csv"].decode(), newline="")))
    assert [row["name"] for row in rows] == ["'=SUM(A1)", "<b>GRU</b>"]
    assert json.loads(files["manifest.json"])["title"] == "a comparison"


def test_runs_come_out_elsewhere_with_every_number(store: Store, made: bytes, other: Store, ids: list[str]) -> None:
    result = read_bundle(made, other)
    assert list(result.imported) == ids
    assert result.describe() == f"Imported 2 runs into {result.comparisons[0]}."
    for old, new in result.imported.items():
        before, after = store.read(old), other.read(new)
        assert (after.name, after.state, after.spec, after.facts) == (
            before.name,
            before.state,
            before.spec,
            before.facts,
        )
        assert after.versions == before.versions
        assert set(after.records) == set(before.records)
        for name in before.records:
            np.testing.assert_array_equal(after.records[name], before.records[name])
    (comparison,) = other.comparisons()
    assert (comparison.name, comparison.runs) == ("a comparison", 2)
    assert not other.check()


def test_a_second_import_finds_the_runs_there_already(made: bytes, other: Store) -> None:
    first = read_bundle(made, other)
    before = contents(other)
    again = read_bundle(made, other)
    assert contents(other) == before
    assert (again.imported, again.present, again.comparisons) == ({}, dict(first.imported), ())
    assert again.describe() == "Found 2 runs here already."


def test_the_store_that_wrote_a_bundle_has_its_runs_already(made: bytes, store: Store, ids: list[str]) -> None:
    assert dict(read_bundle(made, store).present) == {run_id: run_id for run_id in ids}


def test_runs_of_several_comparisons_stay_apart(
    store: Store, other: Store, ids: list[str], run_maker: Callable[..., Any], recorder: Callable[..., list[str]]
) -> None:
    more = recorder(store, [run_maker(name="third", seed=2)], "another")
    result = read_bundle(bundle_bytes(store, [*ids, *more], images=()), other)
    assert len(result.comparisons) == 2
    assert sorted((c.name, c.runs) for c in other.comparisons()) == [("a comparison", 2), ("another", 1)]


def test_a_spec_that_is_not_known_here_is_refused(made: bytes, other: Store) -> None:
    def check(spec: Any) -> None:
        raise ValueError(f"cell must be one of gru, but got {spec['cell']!r}")

    refused(made, other, "is refused: cell must be one of gru, but got 'tanh'", check_spec=check)


def test_a_store_that_cannot_be_written_is_left_alone(made: bytes, other: Store) -> None:
    other.catalog.writable = False
    refused(made, other, "The store is open for reading only.")


def test_a_run_that_goes_on_cannot_be_bundled_yet(store: Store) -> None:
    _, (waiting,) = store.create([{"cell": "tanh"}], ["waiting"])
    with pytest.raises(BundleError, match=f"must hold runs that have ended, but {waiting} is still queued"):
        bundle_bytes(store, [waiting])


def test_a_run_that_never_began_is_left_out_and_named(store: Store, ids: list[str]) -> None:
    _, (waiting,) = store.create([{"cell": "tanh"}], ["waiting"])
    store.request_stop(waiting)
    files = unzipped(bundle_bytes(store, [*ids, waiting], images=()))
    assert f"Left out, because they never began: {waiting}" in files["README.txt"].decode()
    assert not [name for name in files if waiting in name]
    with pytest.raises(BundleError, match="at least one run that has recorded something"):
        bundle_bytes(store, [waiting])


def test_images_are_added_where_they_can_be_drawn_and_noted_where_not(
    store: Store, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "unavailable", lambda: "")
    monkeypatch.setattr(bundle, "to_image", lambda figure, image_format: f"an {image_format}".encode())
    files = unzipped(bundle_bytes(store, ids))
    assert b"<h2>Verdicts</h2>" in files["report.html"]
    assert files["figures/ribbon.svg"] == b"an svg"
    assert files["figures/ribbon.png"] == b"an png"

    def fail(figure: Any, image_format: str) -> bytes:
        raise images.ExportUnavailable("the browser left")

    monkeypatch.setattr(bundle, "to_image", fail)
    files = unzipped(bundle_bytes(store, ids, images=("svg",)))
    assert "Images: the browser left" in files["README.txt"].decode()
    monkeypatch.setattr(bundle, "unavailable", lambda: "no Chrome here")
    files = unzipped(bundle_bytes(store, ids, images=("svg",)))
    assert "Images: no Chrome here" in files["README.txt"].decode()
    assert "figures/ribbon.json" in files


def test_a_bundle_too_large_to_be_read_is_not_written(
    store: Store, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MAX_TOTAL_BYTES", 10_000)
    with pytest.raises(BundleError, match="must unpack to at most 10000 bytes: export fewer"):
        bundle_bytes(store, ids, images=())


def test_changed_bytes_do_not_match_their_checksum(made: bytes, other: Store, ids: list[str]) -> None:
    files = unzipped(made)
    for name in ("summary.csv", f"runs/{ids[0]}/run.sqlite"):
        changed = bytearray(files[name])
        changed[len(changed) // 2] ^= 1
        refused(zipped(files | {name: bytes(changed)}), other, "does not match its checksum")


def test_sizes_that_the_manifest_says_are_compared(made: bytes, other: Store) -> None:
    files = unzipped(made)
    refused(
        zipped(files | {"summary.csv": files["summary.csv"] + b"x"}), other, "not of the size that the manifest says"
    )


def test_files_that_the_manifest_does_not_know_are_refused(made: bytes, other: Store, ids: list[str]) -> None:
    files = unzipped(made)
    refused(zipped(files | {"figures/more.svg": b"<svg/>"}), other, "do not agree about 'figures/more.svg'")
    refused(zipped({n: c for n, c in files.items() if n != "columns.csv"}), other, "do not agree about 'columns.csv'")
    refused(signed(files | {"install.sh": b"rm -rf ~"}), other, "no bundle has: 'install.sh'")
    refused(signed(files | {f"runs/{ids[0]}/model.pt": b"x"}), other, "can run code")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "something else"}, "its manifest does not say so"),
        ({"version": 2}, "written by a newer version"),
        ({"version": 0}, "must be a whole number from 1"),
        ({"version": True}, "must be a whole number from 1"),
        ({"version": "1"}, "must be a whole number from 1"),
        ({"runs": []}, "must list 1 to 500 runs"),
        ({"runs": "all"}, "must list 1 to 500 runs"),
        ({"runs": [{"id": "r-1"}]}, "does not say of every run"),
        ({"runs": [7]}, "does not say of every run"),
        (
            {"runs": [dict.fromkeys(("id", "name", "state", "comparison", "comparison_name"), "../../x")]},
            "not hold its",
        ),
    ],
)
def test_a_manifest_of_another_shape_is_refused(made: bytes, other: Store, changes: Any, words: str) -> None:
    refused(signed(unzipped(made), **changes), other, words)


def test_a_run_listed_twice_is_refused(made: bytes, other: Store) -> None:
    files = unzipped(made)
    runs = json.loads(files["manifest.json"])["runs"]
    refused(signed(files, runs=[runs[0], runs[0]]), other, "lists a run twice")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1]", b'{"a": NaN}', b"\xff\xfe", b"[" * 100_000, b'{"files": 1}'], ids=range(7)
)
def test_a_manifest_that_is_none_is_refused(made: bytes, other: Store, text: bytes) -> None:
    refused(zipped(unzipped(made) | {"manifest.json": text}), other, "not strict JSON|not a gradreach bundle")


def test_a_zip_without_a_manifest_is_no_bundle(other: Store) -> None:
    refused(zipped({"report.html": b"hello"}), other, "not a gradreach bundle: it has no manifest")


def test_a_spec_that_the_run_file_does_not_hold_is_refused(made: bytes, other: Store, ids: list[str]) -> None:
    files = unzipped(made)
    for name in (f"runs/{ids[0]}/spec.json", f"runs/{ids[1]}/spec.json"):
        spec = json.loads(files[name]) | {"hidden": 1024}
        refused(signed(files | {name: json.dumps(spec).encode()}), other, "The bundle is refused")
    refused(signed(files | {f"runs/{ids[0]}/spec.json": b"[1]"}), other, "is not a JSON object")


@pytest.mark.parametrize(
    "content", [b"", b"SQLite format 3\0" + bytes(4096), b"\x80\x04K\x01."], ids=["empty", "zeros", "pickle"]
)
def test_a_run_file_that_is_none_is_refused_also_as_the_second(
    made: bytes, other: Store, ids: list[str], content: bytes
) -> None:
    refused(signed(unzipped(made) | {f"runs/{ids[1]}/run.sqlite": content}), other, "The bundle is refused")


@pytest.mark.parametrize("name", ["x\ny", "\x1b[2J", "n" * 500, "\ud800"])
def test_names_that_no_page_could_show_are_refused(made: bytes, other: Store, name: str) -> None:
    files = unzipped(made)
    runs = json.loads(files["manifest.json"])["runs"]
    refused(signed(files, runs=[runs[0], runs[1] | {"name": name}]), other, "The bundle is refused")


def test_where_writing_fails_midway_nothing_stays(made: bytes, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Store.import_run_file, []

    def failing(self: Store, *args: Any, **options: Any) -> str:
        calls.append(self.path)
        if calls.count(other.path) == 2:
            raise OSError(28, "No space left on device")
        return real(self, *args, **options)

    monkeypatch.setattr(Store, "import_run_file", failing)
    with pytest.raises(OSError, match="No space left"):
        read_bundle(made, other)
    assert contents(other) == ([], [])


def test_any_truncation_and_any_damage_is_one_sentence_and_writes_nothing(made: bytes, other: Store) -> None:
    """What is random here falls mostly into the report, so the ends, where the structure is, get their own share."""
    rng = np.random.default_rng(0)
    lengths = [*rng.integers(0, len(made), 30), *(len(made) - rng.integers(1, 4000, 60))]
    cases = [made[:length] for length in lengths]
    for _ in range(150):
        changed = bytearray(made)
        low = 0 if rng.random() < 0.3 else len(made) - 6000
        for position in rng.integers(low, len(made), int(rng.integers(1, 6))):
            changed[position] ^= 1 << int(rng.integers(0, 8))
        cases.append(bytes(changed))
    before = contents(other)
    harmless, sentences = 0, set()
    for case in cases:
        try:
            intake.read_bundle(case, other)
        except BundleError as error:
            sentences.add(str(error))
        else:
            # A time or an attribute in the zip's list may change without harm; what was imported is whole.
            harmless += 1
            assert not other.check()
            new = [row.id for row in other.runs()]
            other.delete(new)
            other.purge(new)
        assert contents(other) == before
    assert all(said.endswith(".") and "\n" not in said for said in sentences)
    assert harmless < len(cases) / 2


def test_what_is_not_there_is_said_to_be(tmp_path: Path, other: Store) -> None:
    with pytest.raises(BundleError, match="cannot be opened: No such file"):
        read_bundle(tmp_path / "none.zip", other)
