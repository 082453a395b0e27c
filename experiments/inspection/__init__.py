"""Looking inside a run at a training step: what can be asked for, computing it, and the process that does."""
