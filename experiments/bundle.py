"""Bundles with the runs' specs understood: what the page and the command line use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from diagnostics.export.bundle import ImportResult, read_bundle
from diagnostics.store import Store
from experiments.spec import RunSpec
from experiments.watched import check, is_watched


def import_bundle(source: Path | bytes | BinaryIO, store: Store) -> ImportResult:
    """Add a bundle's runs to ``store``; as ``read_bundle``, and refused where a spec is neither one that this version
    runs nor that of a watched run."""
    return read_bundle(source, store, check_spec=_check)


def _check(spec: Mapping[str, Any]) -> None:
    if is_watched(spec):
        check(spec)
    else:
        RunSpec.from_json(spec)
