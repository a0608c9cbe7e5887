"""A PostgreSQL that stands still: connections stay open, and nobody answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from trunkline.testing.postgres import PostgresServer

STILL_S = 10.0 if os.environ.get("TRUNKLINE_FAULTS_FULL") else 2.5
"""How long it stands still; with TRUNKLINE_FAULTS_FULL=1 longer."""


@contextmanager
def standing_still(server: PostgresServer) -> Iterator[None]:
    """A server that stands still within the block."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()
