"""The version that runs, reports, bundles and the package itself carry."""

VERSION = "0.1.0"
