"""What conformance cases call: servicers that do what a script says and count what reaches them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc

from trunkline.call import IdempotencyContext, Principal, current_call
from trunkline.errors import ServiceError, platform_error

M = TypeVar("M")
TOKEN = "user"  # noqa: S105 - a name that stands for a token
"""The only token that Tokens knows."""
ALL = 1_000_000
"""More calls than any case makes."""


@dataclass(slots=True)
class Script:
    """What the handlers of one case do, and what they have seen."""

    codes: tuple[grpc.StatusCode, ...] = ()
    """The n-th call fails with the n-th, reason AS_ASKED; those after them are answered."""
    stuck: int = 0
    """So many calls, the first ones, do not answer until they are released."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    """Lets those that are stuck go on."""
    late: bool = False
    """It is after the first message of a streaming reply that they fail or get stuck."""
    raises: BaseException | None = None
    """What every call ends with, if not with an answer."""
    handled: int = 0
    """Calls that reached a handler."""
    waiting: int = 0
    """Calls that got stuck."""
    cancelled: int = 0
    """Of these, those whose handler was cancelled."""
    effects: int = 0
    """Changes that were made."""
    metadata: list[dict[str, Any]] = field(default_factory=list)
    """What came with each call."""

    def begin(self, context: Any) -> int:
        """Counts a call; gives its number, from 1."""
        self.handled += 1
        self.metadata.append(dict(context.invocation_metadata()))
        return self.handled

    async def act(self, number: int) -> None:
        """Lets a call fail or get stuck, where the script says so."""
        if number <= self.stuck:
            self.waiting += 1
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if self.raises is not None:
            raise self.raises
        if number <= len(self.codes):
            raise ServiceError(self.codes[number - 1], "AS_ASKED", "the case asks for this")

    async def stream(self, context: Any, count: int) -> AsyncIterator[int]:
        """Indexes of the messages of a streaming reply."""
        number = self.begin(context)
        if not self.late:
            await self.act(number)
        for index in range(count):
            yield index
            if self.late and not index:
                await self.act(number)

    async def read(self, context: Any, requests: AsyncIterator[M]) -> AsyncIterator[M]:
        """The requests of a stream; what the script says is done when the first of them is there."""
        number, first = self.begin(context), True
        async for request in requests:
            if first and not self.late:
                await self.act(number)
            yield request
            if first and self.late:
                await self.act(number)
            first = False


class ScriptedPing(pb_grpc.PingServiceServicer):
    """One rpc of each shape."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:  # noqa: N802 - the contract's
        """Answers once."""
        await self._script.act(self._script.begin(context))
        return pb.PingResponse(value=request.value)

    async def PingMany(  # noqa: N802 - the contract's
        self, request: pb.PingManyRequest, context: Any
    ) -> AsyncIterator[pb.PingManyResponse]:
        """Answers `count` times."""
        async for index in self._script.stream(context, request.count):
            yield pb.PingManyResponse(value=request.value, index=index)

    async def PingAll(  # noqa: N802 - the contract's
        self, request_iterator: AsyncIterator[pb.PingAllRequest], context: Any
    ) -> pb.PingAllResponse:
        """Collects."""
        values = [request.value async for request in self._script.read(context, request_iterator)]
        return pb.PingAllResponse(values=values)

    async def PingChat(  # noqa: N802 - the contract's
        self, request_iterator: AsyncIterator[pb.PingChatRequest], context: Any
    ) -> AsyncIterator[pb.PingChatResponse]:
        """Answers each."""
        async for request in self._script.read(context, request_iterator):
            yield pb.PingChatResponse(value=request.value)


class ScriptedPolicies(pb_grpc.PolicyServiceServicer):
    """Reads whose contract declares more."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def Hedged(self, request: pb.HedgedRequest, context: Any) -> pb.HedgedResponse:  # noqa: N802 - the contract's
        """Answers once."""
        await self._script.act(self._script.begin(context))
        return pb.HedgedResponse(value=request.value)

    async def HedgedMany(  # noqa: N802 - the contract's
        self, request: pb.HedgedManyRequest, context: Any
    ) -> AsyncIterator[pb.HedgedManyResponse]:
        """Answers `count` times."""
        async for index in self._script.stream(context, request.count):
            yield pb.HedgedManyResponse(value=request.value, index=index)

    async def Cached(self, request: pb.CachedRequest, context: Any) -> pb.CachedResponse:  # noqa: N802 - the contract's
        """Answers once."""
        await self._script.act(number := self._script.begin(context))
        return pb.CachedResponse(value=request.value, serial=number)

    async def Once(self, request: pb.OnceRequest, context: Any) -> pb.OnceResponse:  # noqa: N802 - the contract's
        """Answers once."""
        await self._script.act(self._script.begin(context))
        return pb.OnceResponse(value=request.value)


class ScriptedEffects(pb_grpc.EffectServiceServicer):
    """A change."""

    def __init__(self, script: Script, answers: MemoryAnswers) -> None:
        self._script = script
        self._answers = answers

    async def Add(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:  # noqa: N802 - the contract's
        """Adds, and keeps its answer as a unit of work does."""
        await self._script.act(self._script.begin(context))
        self._script.effects += request.amount
        answer = pb.AddResponse(value=self._script.effects)
        self._answers.keep(answer.SerializeToString())
        return answer


class MemoryAnswers:
    """Stored answers, in memory."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}

    def fingerprint(self, content: bytes) -> bytes:
        """A digest of a request."""
        return hashlib.sha256(content).digest()

    async def find(self, context: IdempotencyContext) -> bytes | None:
        """The stored answer, or None.

        Raises:
            ServiceError: INVALID_ARGUMENT / IDEMPOTENCY_KEY_REUSED: another request had this key.
        """
        fingerprint, answer = self._kept.get(_place(context), (context.fingerprint, None))
        if fingerprint != context.fingerprint:
            raise platform_error(
                grpc.StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED", "another request had this key"
            )
        return answer

    def keep(self, answer: bytes) -> None:
        """Keeps the answer of the current call, if that has a key."""
        call = current_call()
        if call is not None and call.idempotency is not None:
            call.idempotency.answer = answer
            self._kept[_place(call.idempotency)] = call.idempotency.fingerprint, answer


def _place(context: IdempotencyContext) -> tuple[str, str, str]:
    return context.tenant_id, context.method, context.key


class Tokens:
    """A verifier that knows one token: that of a user of tenant acme."""

    def cached(self, token: str) -> Principal | None:
        """Remembers nobody."""
        return None

    async def verify(self, token: str) -> Principal:
        """Whose token it is.

        Raises:
            ServiceError: UNAUTHENTICATED / TOKEN_INVALID: it is another one.
        """
        if token != TOKEN:
            raise platform_error(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", "the token is not valid here")
        return Principal("user", "ada", "acme", token=token)


@dataclass(slots=True)
class Holder:
    """A credential that has a token at hand."""

    held: str = TOKEN
    """The token."""

    async def token(self) -> str:
        """The token."""
        return self.held
