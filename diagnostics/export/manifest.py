"""What a bundle's ``manifest.json`` says, and whether the archive around it agrees."""

from __future__ import annotations

import re
from typing import Any

from diagnostics.export.archive import Archive, BundleError
from diagnostics.strict_json import loads

FORMAT, VERSION = "gradreach bundle", 1
MAX_MANIFEST_BYTES = 2 * 2**20
MAX_RUNS = 500

_ID = r"[a-z0-9][a-z0-9-]{0,39}"
_FILES = re.compile(
    r"README\.txt|manifest\.json|report\.html|summary\.csv|seeds\.csv|columns\.csv|specs\.json"
    r"|figures/[a-z0-9_-]{1,80}\.(json|html|svg|png|pdf)"
    rf"|runs/{_ID}/(spec\.json|steps\.csv|profiles\.csv|run\.sqlite)"
)
_NEEDED = ("spec.json", "run.sqlite")


def checked_manifest(archive: Archive) -> list[dict[str, str]]:
    """The runs that the manifest lists, after the names, sizes and digests of all files have been checked."""
    if unknown := next((name for name in archive.names if not _FILES.fullmatch(name)), None):
        raise BundleError(f"The bundle holds a file that no bundle has: {unknown[:80]!r}.")
    manifest = read_json(archive, "manifest.json", MAX_MANIFEST_BYTES)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError("The zip archive is not a gradreach bundle: its manifest does not say so.")
    version = manifest.get("version")
    if type(version) is not int or version < 1:
        raise BundleError(f"The bundle's version must be a whole number from 1, but is {version!r}.")
    if version > VERSION:
        raise BundleError(f"The bundle was written by a newer version (format {version}); this one reads {VERSION}.")
    _check_files(archive, manifest.get("files"))
    return _checked_runs(archive, manifest.get("runs"))


def _check_files(archive: Archive, files: Any) -> None:
    if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
        raise BundleError("The bundle's manifest does not list its files.")
    said = {entry.get("path"): entry for entry in files if isinstance(entry.get("path"), str)}
    there = set(archive.names) - {"manifest.json"}
    if len(said) != len(files) or set(said) != there:
        odd = next(iter(sorted(there ^ set(said))), "a path that is no text")
        raise BundleError(f"The bundle's manifest and its files do not agree about {odd[:80]!r}.")
    for path in sorted(there):
        if said[path].get("bytes") != archive.size(path):
            raise BundleError(f"The file {path} in the bundle is not of the size that the manifest says.")
        if said[path].get("sha256") != archive.sha256(path):
            raise BundleError(f"The file {path} in the bundle does not match its checksum.")


def _checked_runs(archive: Archive, runs: Any) -> list[dict[str, str]]:
    words = ("id", "name", "state", "comparison", "comparison_name")
    if not isinstance(runs, list) or not 0 < len(runs) <= MAX_RUNS:
        raise BundleError(f"The bundle's manifest must list 1 to {MAX_RUNS} runs, but does not.")
    for run in runs:
        if not isinstance(run, dict) or not all(isinstance(run.get(word), str) for word in words):
            raise BundleError("The bundle's manifest does not say of every run what it is.")
        if not re.fullmatch(_ID, run["id"]) or not {f"runs/{run['id']}/{n}" for n in _NEEDED} <= set(archive.names):
            raise BundleError(f"The bundle lists the run {run['id'][:40]!r}, but does not hold its files.")
    if len({run["id"] for run in runs}) != len(runs):
        raise BundleError("The bundle's manifest lists a run twice.")
    return runs


def read_json(archive: Archive, name: str, limit: int) -> Any:
    """The data of a JSON file of at most ``limit`` bytes; raises ``BundleError`` where there is none."""
    if name not in archive.names:
        raise BundleError(f"The zip archive is not a gradreach bundle: it has no {name}.")
    try:
        return loads(archive.read(name, limit))
    except BundleError:
        raise
    except (ValueError, RecursionError):
        raise BundleError(f"The file {name} in the bundle is not strict JSON.") from None
