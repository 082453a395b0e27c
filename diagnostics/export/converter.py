"""The process that turns figures into images: a small server over stdin and stdout, so that it can be killed.

Run as ``python -P converter.py FOLDER`` (with -P because the names of this folder would shadow the standard library);
FOLDER is for temporary files and removed on leaving.
One JSON line in: ``{"figure": {...}, "options": {"format", "width", "height", "scale"}}``. One JSON line out,
``{"size": n}`` followed by n bytes, or ``{"error": "..."}``. It leaves when stdin closes or stays quiet.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import threading
from typing import Any, BinaryIO

IDLE_S = 90.0
"""Chromium holds some 200 MB: it is let go when nobody has asked for an image for this long."""


def _read_lines(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[bytes]) -> None:
    for line in sys.stdin.buffer:
        loop.call_soon_threadsafe(lines.put_nowait, line)
    loop.call_soon_threadsafe(lines.put_nowait, b"")


async def _serve(answers: BinaryIO) -> None:
    import kaleido

    lines: asyncio.Queue[bytes] = asyncio.Queue()
    threading.Thread(target=_read_lines, args=(asyncio.get_running_loop(), lines), daemon=True).start()
    # The caller owns the time limit and kills the process; mathjax would be fetched from the network.
    async with kaleido.Kaleido(n=1, mathjax=False, timeout=None) as browser:
        while True:
            try:
                line = await asyncio.wait_for(lines.get(), IDLE_S)
            except TimeoutError:
                return
            if not line:
                return
            await _answer(browser, json.loads(line), answers)


async def _answer(browser: Any, request: dict[str, Any], answers: BinaryIO) -> None:
    try:
        image = await browser.calc_fig(request["figure"], opts=request["options"])
        answers.write(json.dumps({"size": len(image)}).encode() + b"\n" + image)
    except Exception as error:  # whatever the browser says goes to the person who asked
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}).encode() + b"\n")
    answers.flush()


def main() -> None:
    """Serve until stdin closes; libraries that print go to stderr, so that stdout carries answers alone."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        asyncio.run(_serve(answers))
    except Exception as error:
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}).encode() + b"\n")
        answers.flush()
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    os._exit(0)  # the reading thread may still wait for a line


if __name__ == "__main__":
    main()
