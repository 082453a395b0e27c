import tomllib
from pathlib import Path

from diagnostics.version import VERSION


def test_the_project_file_says_the_same():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
