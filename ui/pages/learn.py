"""Learn: the lecture as a path of stops, each predicted first and then run."""

from __future__ import annotations

from ui.learn.page import show

show()
