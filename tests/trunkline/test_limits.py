"""What a server grants its peers."""

from __future__ import annotations

import pytest
from trunkline.auth.tokens import MAX_TOKEN_CHARS
from trunkline.headers import CALLER
from trunkline.limits import connections, grpc_options
from trunkline.settings import PlatformSettings

HEADERS_BYTES = 1024
"""Everything else that our own clients send: trace, ids, keys, and what HTTP/2 itself needs."""


@pytest.mark.parametrize(
    ("wanted", "descriptors", "taken"),
    [(4096, 20_000, 4096), (4096, 1024, 768), (4096, 256, 192), (4096, 128, 64), (10, 128, 10), (10, 8, 1)],
)
def test_connections_leave_descriptors(wanted: int, descriptors: int, taken: int):
    """Connections leave a quarter of the descriptors, and at least 64, to the process; one is always taken."""
    assert connections(wanted, descriptors) == taken


def test_the_largest_legal_metadata_pass():
    """The least that can be granted holds two of the longest tokens; soft and hard limit are one: none is random."""
    least = PlatformSettings(max_metadata_bytes=8 * 1024)
    options = grpc_options(least)
    assert options["grpc.max_metadata_size"] == options["grpc.absolute_max_metadata_size"] == 8192
    tokens = 2 * (MAX_TOKEN_CHARS + len("Bearer ") + len(CALLER) + 32)
    assert tokens + HEADERS_BYTES < options["grpc.max_metadata_size"]


def test_options_come_from_settings():
    """Each limit is the setting of its name."""
    options = grpc_options(
        PlatformSettings(
            max_connections=3,
            max_streams_per_connection=4,
            max_message_bytes=5000,
            max_metadata_bytes=9000,
            handshake_timeout_s=0.5,
        )
    )
    assert options == {
        "grpc.max_receive_message_length": 5000,
        "grpc.max_send_message_length": 5000,
        "grpc.max_metadata_size": 9000,
        "grpc.absolute_max_metadata_size": 9000,
        "grpc.max_concurrent_streams": 4,
        "grpc.http2.max_deallocating_streams": 4,
        "grpc.max_allowed_incoming_connections": 3,
        "grpc.server_handshake_timeout_ms": 500,
    }
