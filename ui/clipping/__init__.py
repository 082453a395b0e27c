"""The parts of the page Clipping: what a threshold would have done, the sweep of thresholds, the cliff."""
