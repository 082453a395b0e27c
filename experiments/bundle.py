"""Bundles with the runs' specs understood: what the page and the command line use."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from diagnostics.export.bundle import ImportResult, read_bundle
from diagnostics.store import Store
from experiments.spec import RunSpec


def import_bundle(source: Path | bytes | BinaryIO, store: Store) -> ImportResult:
    """Add a bundle's runs to ``store``; as ``read_bundle``, and refused where a spec is none that this version runs."""
    return read_bundle(source, store, check_spec=RunSpec.from_json)
