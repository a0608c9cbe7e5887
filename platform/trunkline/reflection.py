"""Reflection, for grpcurl and buf curl: the contracts of what a server serves, method by method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc


def enable(names: Iterable[str], server: Any) -> None:
    """Adds reflection of these gRPC services to a server, or to what stands for one in `add_…_to_server`."""
    pool: Any = _Pool(descriptor_pool.Default())
    # Not enable_server_reflection: it looks at the server's class to choose between this servicer and a blocking one.
    add: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
    add(reflection.aio.ReflectionServicer(names, pool=pool), server)


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
