"""What stands in for grpc's own call object where a FaultPlan keeps a request back, or loses the reply."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, NoReturn

import grpc


def failed(code: grpc.StatusCode, details: str, *trailers: tuple[str, str | bytes]) -> grpc.aio.AioRpcError:
    """What grpc raises for a call that has ended so."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details)


class Unsent:
    """A call that has failed before anything of it was sent."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self._error = error

    def __await__(self) -> Generator[Any, None, NoReturn]:
        return self.read().__await__()

    async def read(self) -> NoReturn:
        """There is nothing to read."""
        raise self._error

    async def write(self, request: object) -> NoReturn:
        """Nobody takes it."""
        raise self._error

    async def done_writing(self) -> None:
        """Nobody waits for more."""

    async def wait_for_connection(self) -> NoReturn:
        """There is none."""
        raise self._error

    def cancel(self) -> bool:
        """It has ended already."""
        return False

    def cancelled(self) -> bool:
        """Nobody has cancelled it."""
        return False

    def done(self) -> bool:
        """It has ended."""
        return True

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls back at once."""
        callback(self)

    def time_remaining(self) -> float | None:
        """It has no deadline of its own."""
        return None

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """Nothing came."""
        return grpc.aio.Metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """What the failure says beside its code."""
        return self._error.trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        """How it has ended."""
        return self._error.code()

    async def details(self) -> str:
        """The text of the failure."""
        return self._error.details() or ""


class Lost:
    """A call that runs to its end on the server, and whose reply never arrives, neither messages nor status.

    In all else it is the real one: requests are written to it, and it is cancelled.
    """

    def __init__(self, wire: Any, error: grpc.aio.AioRpcError, *, streams: bool) -> None:
        """Sends nothing by itself.

        Args:
            wire: grpc's own call object.
            error: what the caller is told once the server has finished.
            streams: the reply is a stream.
        """
        # The chain sets attributes of grpc's call object: they must reach the real one.
        object.__setattr__(self, "_wire", wire)
        object.__setattr__(self, "_error", error)
        object.__setattr__(self, "_streams", streams)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._wire, name, value)

    def __await__(self) -> Generator[Any, None, NoReturn]:
        return self.read().__await__()

    async def read(self) -> NoReturn:
        """Waits until the server has finished."""
        with suppress(grpc.aio.AioRpcError):
            await self._drained()
        raise failed(await self.code(), await self.details())

    async def _drained(self) -> None:
        if not self._streams:
            await self._wire
            return
        while await self._wire.read() is not grpc.aio.EOF:
            pass

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """Lost too."""
        return grpc.aio.Metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """Lost too."""
        await self._wire.code()
        return grpc.aio.Metadata()

    async def code(self) -> grpc.StatusCode:
        """How it has ended for the caller, whose own cancel or deadline comes first; waits for the end."""
        code: grpc.StatusCode = await self._wire.code()
        own = self._wire.cancelled() or code is grpc.StatusCode.DEADLINE_EXCEEDED
        return code if own else self._error.code()

    async def details(self) -> str:
        """What is said of it."""
        return self._error.details() or ""
