"""The processor that the kernels are compiled for, as LLVM knows it. Imports llvmlite, and not Numba."""

from __future__ import annotations

import platform
import sys
from functools import cache

import llvmlite.binding as llvm


@cache
def _has() -> dict[str, bool]:
    return dict(llvm.get_host_cpu_features())


def lanes() -> int:
    """How many float32 numbers a vector register holds: 16, 8 or 4."""
    return 16 if _has().get("avx512f") else 8 if _has().get("avx2") else 4


def registers() -> int:
    """How many vector registers there are."""
    return 16 if lanes() == 8 else 32 if lanes() == 16 or _has().get("neon") else 16


def unsuited() -> str:
    """Why the kernels, if they ran here at all, would be slower than the plain loops; "" where they suit."""
    if sys.maxsize < 2**63 - 1:
        return "this Python has 32-bit addresses"
    if not (_has().get("fma") or _has().get("neon")):
        return f"{llvm.get_host_cpu_name()} has no fused multiply-add on vectors"
    return ""


def name() -> str:
    """What a person calls it, such as ``znver4 (AVX-512)``."""
    instructions = {16: "AVX-512", 8: "AVX2"}.get(lanes()) or ("NEON" if _has().get("neon") else platform.machine())
    return f"{llvm.get_host_cpu_name()} ({instructions})"


def target() -> llvm.TargetMachine:
    """A new code generator of LLVM's for this very processor, with the settings that Numba uses.

    New, because the engine that gets one owns it, and takes it along when it goes.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="static" if triple.startswith(("x86", "i686")) else "default",
        codemodel="jitdefault",
        jit=True,
    )


def identity() -> tuple[str, ...]:
    """All that decides which machine code is right for it."""
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
