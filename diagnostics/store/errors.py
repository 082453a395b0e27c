"""What the store says when it cannot do what was asked: one sentence each."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot do what was asked; its text is one sentence that names the file or run."""


class DiskFullError(StoreError):
    """There is no room left to write. What was acknowledged before stays readable."""
