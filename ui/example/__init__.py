"""The recorded example that the Lab shows until the first run: run files made by ``python -m ui.example.make``."""

from ui.example.recorded import runs

__all__ = ["runs"]
