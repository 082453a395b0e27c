"""Kernels: functions over addresses and sizes that are compiled once per machine, and from then on only loaded.

Numba turns the Python function into LLVM code when nothing else helps; the object code that LLVM makes of it is kept on
disk (``diagnostics.recurrence.fused.cache``) and linked by llvmlite alone. Freshly compiled code goes the same way, so
what runs is the same whether it was found or made, and where it is found Numba is not even imported. Numba's own cache
is not used: it looks at the one file that a function is in, and would keep what a change in another file made stale.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import llvmlite.binding as llvm

from diagnostics.recurrence.fused import cache as disk
from diagnostics.recurrence.fused.processor import target

_C_TYPES: dict[str, Any] = {"int64": ctypes.c_int64, "float32": ctypes.c_float}
_SYMBOL = "gradreach_kernel"
_EVERYWHERE = ("llvm.", "memcpy", "memmove", "memset", "sqrt")
"""What code may refer to so that it links in any process, also where Numba never was."""


class Kernel:
    """A function that fills memory, called as Python calls functions and without the interpreter's lock.

    ``source`` is ``module:function``; the function is plain Python that Numba understands, and returns nothing. Its
    module is imported only to compile it. ``arguments`` names the types: ``"int64, int64, float32"``; addresses and
    sizes are int64. Loaded or compiled at the first call, or by ``load``.
    """

    def __init__(self, source: str, arguments: str) -> None:
        self.source = source
        self.arguments = tuple(word.strip() for word in arguments.split(","))
        self.origin: Literal["", "disk", "compiler"] = ""
        """Where the machine code came from; "" as long as there is none."""
        self._types = [_C_TYPES[word] for word in self.arguments]
        self._lock = threading.Lock()
        self._call: Callable[..., int] | None = None
        self._engine: llvm.ExecutionEngine | None = None
        # Numba's functions write an empty result and, on an error, the exception: two places that nobody reads.
        self._unread = (ctypes.c_void_p * 2)()
        self._result = ctypes.addressof(self._unread)

    def __call__(self, *arguments: int | float) -> None:
        """Run it. Raises what ``load`` raises, and ``TypeError`` where the arguments do not fit."""
        call = self._call or self.load()
        if len(arguments) != len(self._types):
            raise TypeError(f"{self.source} takes {len(self._types)} arguments, but got {len(arguments)}")
        if call(self._result, self._result + 8, *arguments):
            raise RuntimeError(f"{self.source} raised an exception, which a kernel must not")

    def load(self, before_compiling: Callable[[], object] = lambda: None) -> Callable[..., int]:
        """Make it ready to run: from disk, or compiled, which takes seconds and is announced.

        Raises ``ImportError`` where Numba is missing, and whatever Numba and LLVM raise where they cannot compile it.
        """
        with self._lock:
            if self._call is not None:
                return self._call
            folder, name = _folder(self.source), f"{self.source}({', '.join(self.arguments)})"
            key = _key(folder)
            code = found = disk.load(key, name)
            if code is None:
                before_compiling()
                code = _compile(self.source, self.arguments)
                if disk.key_of(folder) == key:  # else somebody is editing, and nobody knows what was compiled
                    disk.save(key, name, code)
            self._engine, address = _link(code)
            self._call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *self._types)(address)
            self.origin = "compiler" if found is None else "disk"
            return self._call


_key = cache(disk.key_of)


def _folder(source: str) -> Path:
    module = source.partition(":")[0]
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise ImportError(f"there is no module {module}")
    return Path(found.origin).parent


def _compile(source: str, arguments: tuple[str, ...]) -> bytes:
    """Object code with one symbol that others can see."""
    import numba

    module, _, function = source.partition(":")
    compiled = numba.cfunc(
        f"void({', '.join(arguments)})",
        nopython=True,
        fastmath={"contract"},
        error_model="numpy",
        boundscheck=False,
    )(getattr(importlib.import_module(module), function))
    code = llvm.parse_assembly(compiled.inspect_llvm())
    # The C function that Numba made is a wrapper which reports exceptions to the interpreter, and for that refers to
    # addresses inside Numba; what it wraps says in its result whether there was one, and needs none.
    entry = code.get_function(compiled.native_name.removeprefix("cfunc."))
    takes = [str(argument.type) for argument in entry.arguments]
    if len(takes) != 2 + len(arguments):
        raise RuntimeError(f"this version of Numba calls its functions in another way than expected: {entry.type}")
    # Numba numbers its symbols as it meets them; under names of our own the same sources give the same bytes.
    ours = [symbol for symbol in (*code.functions, *code.global_variables) if not symbol.is_declaration]
    for number, symbol in enumerate(ours):
        if symbol.name != entry.name and not symbol.name.startswith("llvm."):
            symbol.linkage = "internal"
            symbol.name = f"{_SYMBOL}.{number}"
    entry.name = _SYMBOL
    entry.linkage = "external"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    machine = target()
    passes.run(code, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    missing = [f.name for f in code.functions if f.is_declaration and not f.name.startswith(_EVERYWHERE)]
    missing += [v.name for v in code.global_variables if v.is_declaration]
    if missing:
        raise RuntimeError(f"{source} refers to {', '.join(missing)}, which no kernel can: does it raise, or allocate?")
    code.verify()
    return bytes(machine.emit_object(code))


def _link(code: bytes) -> tuple[llvm.ExecutionEngine, int]:
    """The engine that holds the code, which has to live as long as it is called, and the kernel's address."""
    empty = llvm.parse_assembly("")
    empty.triple = llvm.get_process_triple()
    engine = llvm.create_mcjit_compiler(empty, target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address(_SYMBOL)
    if not address:
        raise RuntimeError("the code has no kernel in it")
    return engine, address
