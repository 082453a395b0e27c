"""The parts of the page Inspect: what to look at, waiting for it, the figures, and how a network begins."""
