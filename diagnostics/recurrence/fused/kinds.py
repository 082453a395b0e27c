"""Numbers for the nonlinearities, which compiled loops know by nothing else."""

TANH, SIGMOID, RELU, IDENTITY = range(4)
KINDS = {"tanh": TANH, "sigmoid": SIGMOID, "relu": RELU, "identity": IDENTITY}
