"""Images through a browser in a process that can be killed."""

import os
import subprocess
import sys
from pathlib import Path

import plotly.graph_objects as go
import pytest

from diagnostics.export import images

FIGURE = go.Figure(go.Scatter(y=[1.0, 3.0, 2.0]), layout={"template": "plotly_white", "title": {"text": "A figure"}})

needs_chrome = pytest.mark.skipif(bool(images.unavailable()), reason="no Chrome or Chromium here")


@needs_chrome
def test_png_svg_and_pdf_have_their_signatures_and_sizes() -> None:
    png = images.to_image(FIGURE, "png", width=400, height=300)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (800, 600)
    svg = images.to_svg(FIGURE).decode()
    assert svg.startswith("<svg")
    assert "A figure" in svg
    assert images.to_pdf(FIGURE).startswith(b"%PDF-")


def test_without_a_chrome_one_sentence_names_the_remedy(tmp_path: Path) -> None:
    environment = {**os.environ, "BROWSER_PATH": str(tmp_path / "none"), "HOME": str(tmp_path)}
    code = (
        "import plotly.graph_objects as go\nfrom diagnostics.export import images\n"
        "try:\n    images.to_png(go.Figure())\nexcept images.ExportUnavailable as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.count("\n") == 1
    assert "install Chromium" in said.stdout
    assert "plotly_get_chrome" in said.stdout


def test_an_unknown_format_is_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="format must be one of png, svg, pdf, but got 'gif'"):
        images.to_image(FIGURE, "gif")  # type: ignore[arg-type]


def stand_in(tmp_path: Path, body: str) -> images._Converters:
    """A converter that behaves as ``body`` says; it notes each start in a file."""
    script = tmp_path / "converter.py"
    script.write_text(
        f"import sys, time, pathlib\npathlib.Path({str(tmp_path / 'starts')!r}).open('a').write('x')\n{body}"
    )
    return images._Converters([sys.executable, str(script)])


def test_a_converter_that_hangs_is_killed_and_tried_once_more(tmp_path: Path) -> None:
    converters = stand_in(tmp_path, "time.sleep(600)")
    with pytest.raises(images.ExportUnavailable, match=r"did not answer within 0\.5 s"):
        converters.convert(b"{}\n", 0.5)
    assert (tmp_path / "starts").read_text() == "xx"
    assert converters._current is None


def test_a_request_larger_than_the_pipe_does_not_block_forever(tmp_path: Path) -> None:
    with pytest.raises(images.ExportUnavailable, match="did not answer"):
        stand_in(tmp_path, "time.sleep(600)").convert(b"x" * 2**22, 0.5)


def test_the_second_try_is_enough_where_the_first_hung(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    body = (
        f"if pathlib.Path({str(starts)!r}).read_text() == 'x':\n    time.sleep(600)\n"
        "for line in sys.stdin:\n    print('{\"size\": 3}', flush=True); print('img', end='', flush=True)\n"
    )
    converters = stand_in(tmp_path, body)
    assert converters.convert(b"{}\n", 3.0) == b"img"
    assert converters.convert(b"{}\n", 3.0) == b"img"
    assert starts.read_text() == "xx"  # the process stays for the next figure
    converters.close()


def test_a_converter_that_dies_midway_is_said_to(tmp_path: Path) -> None:
    converters = stand_in(tmp_path, "sys.stdin.readline(); print('{\"size\": 30}'); print('img', end='')")
    with pytest.raises(images.ExportUnavailable, match="broke off"):
        converters.convert(b"{}\n", 10.0)


def test_what_the_browser_complains_of_reaches_the_person(tmp_path: Path) -> None:
    converters = stand_in(tmp_path, 'for line in sys.stdin:\n    print(\'{"error": "no memory"}\', flush=True)')
    with pytest.raises(images.ExportUnavailable, match=r"failed twice \(no memory\): try again"):
        converters.convert(b"{}\n", 10.0)


def test_a_figure_with_the_default_of_another_library_gets_a_template_of_its_own() -> None:
    code = (
        "import streamlit, json\nimport plotly.graph_objects as go\n"
        "from diagnostics.export.figures import figure_json\n"
        "print(json.loads(figure_json(go.Figure(go.Scatter(y=[1]))))['layout']['template']['layout']['colorway'][0])\n"
        "own = go.Figure(go.Scatter(y=[1]), layout={'template': 'plotly_dark'})\n"
        "print(json.loads(figure_json(own))['layout']['template']['layout']['paper_bgcolor'])"
    )
    said = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["#636efa", "rgb(17,17,17)"]
