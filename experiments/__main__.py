"""``python -m experiments``: the command line."""

import os
import sys

# Before NumPy is loaded. What is computed here are products of small matrices, over which threads only wait for each
# other; and what trains does so in workers, which have one each.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from experiments.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
