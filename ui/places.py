"""Where runs live and who trains them: the store and the queue that this server's pages share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from diagnostics.store import Store
    from experiments.queue import Queue


@st.cache_resource(show_spinner=False)
def _opened(path: str) -> Queue:
    from diagnostics.store import Store
    from experiments.queue import Queue

    return Queue(Store.open(path or None))


def queue() -> Queue:
    """The queue over the store of this server; raises ``StoreError`` where the store cannot be opened."""
    return _opened(os.environ.get("GRADREACH_STORE", ""))


def store() -> Store:
    """The store of this server; raises ``StoreError`` where it cannot be opened."""
    return queue().store
