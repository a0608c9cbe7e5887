"""What the cases of one group need: the embedded server, emptied before each, and a database of either side."""

from __future__ import annotations

import pytest

from tests.trunkline.events.conftest import client, publisher, reader, redis_server, url

__all__ = ["client", "publisher", "reader", "redis_server", "url"]


@pytest.fixture
def kind() -> str:
    """Kind of the databases."""
    return "sqlite"
