"""Specs, the training loop, the queue and its workers, the command line."""
