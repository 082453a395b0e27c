"""How the functions are compiled that only kernels call: for compiled code alone.

Numba would otherwise make, for every one of them, a function that Python calls and one that C calls, and machine code
for both: a fifth of the time that a kernel takes to compile.
"""

from __future__ import annotations

from functools import partial

from numba import njit

inner = partial(njit, no_cpython_wrapper=True, no_cfunc_wrapper=True)
