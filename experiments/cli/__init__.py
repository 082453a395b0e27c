"""The command line. Starts without torch: training happens in the workers' processes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from experiments.spec import Refusal

__all__ = ["main"]

RAN, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses; the last is what shells expect of a command that Ctrl-C ended."""

# Where each command lives; imported when asked for, so that `list` does not wait for what `export` needs.
_COMMANDS = {
    "run": "run",
    "sweep": "sweep",
    "list": "look",
    "show": "look",
    "inspect": "inspect",
    "clip": "clip",
    "export": "transfer",
    "import": "transfer",
    "delete": "upkeep",
    "doctor": "upkeep",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked and return the exit status. Nothing that goes wrong shows a traceback: one sentence says it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read us has left (`| head`): nothing to say, and nobody to say it to when Python closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return _say("Interrupted.", INTERRUPTED, as_json)
    except Refusal as error:
        return _say(str(error), REFUSED, as_json)
    except Exception as error:
        return _say(*_explained(error), as_json)


def _dispatch(arguments: Sequence[str] | None) -> int:
    from experiments.cli.parser import parse

    asked = parse(arguments)
    module = import_module(f"experiments.cli.{_COMMANDS[asked.command]}")
    command: Callable[..., int] = getattr(module, f"{asked.command}_command")
    return command(asked)


def _explained(error: Exception) -> tuple[str, int]:
    """What an error says to a person, and the exit status: refused where the request could not be met as asked."""
    from diagnostics.store import StoreError
    from diagnostics.store.errors import DiskFullError

    if isinstance(error, DiskFullError):
        return str(error), FAILED
    if isinstance(error, StoreError):
        return str(error), REFUSED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", FAILED
    if os.environ.get("GRADREACH_TRACEBACK"):
        raise error
    words = " ".join(str(error).split())[:300]
    return (
        f"This should not have happened ({type(error).__name__}: {words}); set GRADREACH_TRACEBACK=1 to see where.",
        FAILED,
    )


def _say(sentence: str, status: int, as_json: bool) -> int:
    """Print what went wrong to stderr, and with --json also where the answer was expected."""
    if as_json:
        from diagnostics.strict_json import dumps

        print(dumps({"error": sentence}))
    print(sentence, file=sys.stderr)
    return status
