"""The parts of the page Your model: how to attach, the runs that were watched, and checkpoints."""
