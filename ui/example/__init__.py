"""The recorded example that Lab and Inspect show until the first run: run files made by ``python -m ui.example.make``,
inspections by ``python -m ui.example.make_inspections``."""

from ui.example.recorded import inspections, runs

__all__ = ["inspections", "runs"]
