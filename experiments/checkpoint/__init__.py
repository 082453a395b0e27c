"""Looking into a file of weights that somebody brings, in a process of its own."""
