"""Calls and events between Python services: deadlines, safe retries, breakers, identity, outbox and inbox."""

import os

__version__ = "0.1.0"

# gRPC reads it when it is loaded, so before any import of ours. Unset, it writes a line to stderr for every handshake
# that fails: anybody who can reach the port would fill the log.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # noqa: TID251 - gRPC's own, and settings come too late
