"""Watching a training loop that somebody else wrote; nothing heavy is imported here (see ``session``)."""
