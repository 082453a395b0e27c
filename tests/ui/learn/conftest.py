"""The page Learn at one of its stops, without a browser and without workers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from tests.ui.conftest import Open

Learn = Callable[..., AppTest]


@pytest.fixture
def learn(open_app: Open) -> Learn:
    """Open the page at a stop, with what else its address says."""

    def opened(stop: str = "", **params: str) -> AppTest:
        app = open_app()
        app.switch_page("ui/pages/learn.py")
        for name, value in {"stop": stop, **params}.items():
            if value:
                app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return opened


def predict(app: AppTest, stop: str, place: int = 0) -> AppTest:
    """Commit to the option at ``place``."""
    app.radio(key=f"learn-{stop}-predict").set_value(place).run()
    app.button(key=f"learn-{stop}-commit").click().run()
    assert not app.exception, app.exception
    return app
