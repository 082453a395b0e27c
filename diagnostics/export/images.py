"""PNG, SVG and PDF of a figure on the server, through Kaleido, where a Chrome or Chromium is found.

Kaleido can hang (about once in a thousand calls), so it runs in a process of its own, which is killed when it is late;
one more try follows. The process stays for the next figure: the first takes seconds, the others tenths.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, Literal, get_args

from diagnostics.export.figures import figure_json

Format = Literal["png", "svg", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)

TIMEOUT_S = 60.0
WIDTH, HEIGHT = 1200, 700
"""Size in CSS pixels of a figure whose layout names none."""

PNG_SCALE = 2.0

_CONVERTER = Path(__file__).with_name("converter.py")
_NO_CHROME = (
    "PNG, SVG and PDF from the server need a Chrome or Chromium, and none was found: install Chromium "
    "(on Debian and Ubuntu: apt install chromium) or run plotly_get_chrome, or use the camera button of the figure."
)
_NO_KALEIDO = "PNG, SVG and PDF from the server need the package kaleido, and it is not installed: pip install kaleido."


class ExportUnavailable(RuntimeError):  # noqa: N818 (the name says what it means to the person who asked)
    """An image cannot be made here; the message is one sentence with the remedy."""


def unavailable() -> str:
    """Why images cannot be made on this machine, in one sentence, or ``""`` where they can; takes milliseconds."""
    if importlib.util.find_spec("kaleido") is None or importlib.util.find_spec("choreographer") is None:
        return _NO_KALEIDO
    from choreographer.browsers.chromium import Chromium  # what Kaleido itself asks; a tenth of a second to import

    path = Chromium.find_browser(skip_local=False)
    return "" if path and Path(path).is_file() else _NO_CHROME


def to_png(figure: Any, *, width: int | None = None, height: int | None = None, scale: float = PNG_SCALE) -> bytes:
    """The figure as PNG; ``scale`` is pixels per CSS pixel. Raises ``ExportUnavailable``."""
    return to_image(figure, "png", width=width, height=height, scale=scale)


def to_svg(figure: Any, *, width: int | None = None, height: int | None = None) -> bytes:
    """The figure as SVG (UTF-8). Raises ``ExportUnavailable``."""
    return to_image(figure, "svg", width=width, height=height)


def to_pdf(figure: Any, *, width: int | None = None, height: int | None = None) -> bytes:
    """The figure as PDF. Raises ``ExportUnavailable``."""
    return to_image(figure, "pdf", width=width, height=height)


def to_image(
    figure: Any,
    image_format: Format,
    *,
    width: int | None = None,
    height: int | None = None,
    scale: float | None = None,
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """A plotly figure as an image.

    ``width`` and ``height`` are CSS pixels; None takes the figure's own, else 1200 × 700. ``scale`` is pixels per CSS
    pixel; None takes two for PNG, as everywhere, and one for what scales by itself. The figure is not changed.
    Raises ``ExportUnavailable`` where no browser is found or the browser fails twice.
    """
    if image_format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, but got {image_format!r}")
    if reason := unavailable():
        raise ExportUnavailable(reason)
    content = json.loads(figure_json(figure))
    layout = content.get("layout", {})
    options = {
        "format": image_format,
        "width": width or layout.get("width") or WIDTH,
        "height": height or layout.get("height") or HEIGHT,
        "scale": scale or (PNG_SCALE if image_format == "png" else 1.0),
    }
    request = json.dumps({"figure": content, "options": options}).encode() + b"\n"
    return _CONVERTERS.convert(request, timeout_s)


class _Converter:
    """One converter process and the exchange with it."""

    def __init__(self, command: list[str]) -> None:
        self._folder = tempfile.mkdtemp(prefix="gradreach-images-")  # Chromium's profile; it goes when we do
        self.process = subprocess.Popen(
            [*command, self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": self._folder},
            start_new_session=True,
        )

    def exchange(self, request: bytes, timeout_s: float) -> bytes | str:
        """The image's bytes, or a few words on what went wrong."""
        answers: list[bytes | str] = []
        # Both ends of a pipe can block on a hung process, so the exchange is left to a thread that a kill sets free.
        thread = threading.Thread(target=lambda: answers.append(self._exchange(request)), daemon=True)
        thread.start()
        thread.join(timeout_s)
        if thread.is_alive():
            self.kill()
            thread.join()
            return f"the browser did not answer within {timeout_s:g} s"
        return answers[0]

    def _exchange(self, request: bytes) -> bytes | str:
        stdin, stdout = self._pipes()
        try:
            stdin.write(request)
            stdin.flush()
            line = stdout.readline()
            header: dict[str, Any] = json.loads(line) if line else {"error": "the converter left"}
            if "error" in header:
                return str(header["error"])
            image = stdout.read(header["size"])
        except (OSError, ValueError) as error:
            return f"the converter broke off ({error})"
        return image if len(image) == header["size"] else "the converter broke off"

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return self.process.stdin, self.process.stdout

    def kill(self) -> None:
        """End the process and the browser it started, which sits in a session of its own."""
        import psutil

        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        self.process.kill()
        self.process.wait()
        for pipe in self._pipes():
            with contextlib.suppress(OSError):
                pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Converters:
    """Keeps one converter for all threads of this process, replacing it when it has left or was killed."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self._lock = threading.Lock()
        self._current: _Converter | None = None

    def convert(self, request: bytes, timeout_s: float) -> bytes:
        """The image for ``request``; one more try in a fresh process before ``ExportUnavailable``."""
        with self._lock:
            said = ""
            for _ in range(2):
                if self._current is None or self._current.process.poll() is not None:
                    self._close()
                    self._current = _Converter(self.command)
                answer = self._current.exchange(request, timeout_s)
                if isinstance(answer, bytes):
                    return answer
                said = answer
                self._close()
        raise ExportUnavailable(
            f"The browser that draws images failed twice ({said}): try again, or use the camera button of the figure."
        )

    def close(self) -> None:
        """End the converter, if there is one."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._current is not None:
            self._current.kill()
            self._current = None


_CONVERTERS = _Converters([sys.executable, "-P", str(_CONVERTER)])
atexit.register(_CONVERTERS.close)
