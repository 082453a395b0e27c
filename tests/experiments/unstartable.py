"""A trainer's module that cannot be imported."""

raise ImportError("no module named torch\nin this environment")
