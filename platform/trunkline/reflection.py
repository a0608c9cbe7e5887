"""Reflection, for grpcurl and buf curl: the contracts of what a server serves, method by method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection


def enable(names: Iterable[str], server: grpc.aio.Server) -> None:
    """Adds reflection of these gRPC services to a server."""
    pool: Any = _Pool(descriptor_pool.Default())
    reflection.enable_server_reflection(names, server, pool)


class _Pool:
    """A pool that finds methods too: `describe pos.item.v1.ItemService.GetItem` asks for one."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - the pool's name for it
        """The file that declares a message, field, enum, service, extension or method; KeyError without one."""
        try:
            found: FileDescriptor = self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            found = self._pool.FindMethodByName(symbol).containing_service.file
        return found
