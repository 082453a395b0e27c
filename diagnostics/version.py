"""The version that runs, reports and bundles record; pyproject.toml says the same."""

VERSION = "0.1.0"
