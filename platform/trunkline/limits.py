"""What a server grants its peers, as options of gRPC: sizes, streams, connections, time for a handshake, and age."""

from __future__ import annotations

import resource

import structlog

from trunkline.settings import PlatformSettings

OWN_DESCRIPTORS = 64
"""Descriptors at least that connections leave to the process: databases, logs, its own calls. A quarter, if that is
more."""
_log = structlog.get_logger("trunkline.server")


def grpc_options(settings: PlatformSettings) -> dict[str, int]:
    """Options of a gRPC server."""
    return {
        "grpc.max_receive_message_length": settings.max_message_bytes,
        "grpc.max_send_message_length": settings.max_message_bytes,
        # Between the two gRPC refuses at random. With one value for both a call that passes once passes always.
        "grpc.max_metadata_size": settings.max_metadata_bytes,
        "grpc.absolute_max_metadata_size": settings.max_metadata_bytes,
        # What a peer opens beyond that, taken back or not, gRPC refuses before it costs a task.
        "grpc.max_concurrent_streams": settings.max_streams_per_connection,
        # Streams that have ended and are not cleared away yet. Without it they count as open, and a client that keeps
        # to the limit, as gRPC's own does, is refused most of its calls once it has as many callers as streams.
        "grpc.http2.max_deallocating_streams": settings.max_streams_per_connection,
        "grpc.max_allowed_incoming_connections": connections(settings.max_connections, _descriptors()),
        "grpc.server_handshake_timeout_ms": round(settings.handshake_timeout_s * 1000),
        **_age(settings),
    }


def connections(wanted: int, descriptors: int) -> int:
    """How many connections a server takes: what is wanted, and never so many that the process is left without files.

    Where no descriptor is left gRPC cannot even accept a connection to close it, nor a database open its file.
    """
    most = max(1, descriptors - max(OWN_DESCRIPTORS, descriptors // 4))
    if most < wanted:
        _log.info("fewer connections than max_connections: ulimit -n is low", connections=most, descriptors=descriptors)
    return min(wanted, most)


def _age(settings: PlatformSettings) -> dict[str, int]:
    """Options that let connections grow old. gRPC spreads the ages of connections by a tenth."""
    ages = {
        "grpc.max_connection_age_ms": settings.max_connection_age_s,
        "grpc.max_connection_age_grace_ms": settings.max_connection_age_grace_s,
    }
    return {name: int(seconds * 1000) for name, seconds in ages.items() if seconds}


def _descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20
