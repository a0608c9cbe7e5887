"""Faults of the network and of the other side, attempt by attempt: a plan that a link of the client chain follows."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc
from trunk.policy.v1 import error_reason_pb2

from trunkline import headers
from trunkline.errors import PLATFORM_DOMAIN, ServiceError, trailers_of
from trunkline.interceptors.chain import Policy, Proceed
from trunkline.interceptors.client_call import ClientCall
from trunkline.interceptors.peer import Peer
from trunkline.method import Method
from trunkline.testing.fault_wires import Lost, Unsent, failed

EVERY = "*"
"""Stands for all methods."""
Sleep = Callable[[float], Awaitable[None]]
"""Waits for so many seconds."""


class Attempt:
    """One attempt on its way out, in the hands of a fault."""

    def __init__(self, call: ClientCall, proceed: Proceed[ClientCall, Any], peer: Peer, plan: FaultPlan) -> None:
        self.call = call
        """What is called."""
        self._proceed = proceed
        self._peer = peer
        self._plan = plan

    async def send(self) -> Any:
        """Really sends it; gives the reply."""
        return await self._sent_by(self.call.send)

    async def lose(self) -> Any:
        """Really sends it and lets the server finish; then the reply is lost, and the call ends as UNAVAILABLE."""
        send, streams = self.call.send, self.call.method.server_streaming
        lost = failed(grpc.StatusCode.UNAVAILABLE, "the reply was lost")
        return await self._sent_by(lambda *args, **options: Lost(send(*args, **options), lost, streams=streams))

    async def fail(self, error: grpc.aio.AioRpcError) -> Any:
        """Sends nothing: the call ends with this error."""
        return await self._by(lambda *_, **__: Unsent(error))

    async def wait(self, seconds: float) -> bool:
        """Waits so long, but not beyond the deadline; says whether there is time left."""
        left_s = self.call.deadline - self._peer.clock.monotonic()
        await self._plan.sleep(max(0.0, min(seconds, left_s)))
        return seconds < left_s

    async def _sent_by(self, send: Callable[..., Any]) -> Any:
        self._plan.sent[self.call.method.path] += 1
        return await self._by(send)

    async def _by(self, send: Callable[..., Any]) -> Any:
        call, own = self.call, self.call.send
        call.send = send
        try:
            return await self._proceed(call)
        finally:
            call.send = own


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one attempt. One of your own is a name and a function of the attempt."""

    name: str
    """How it is told."""
    act: Callable[[Attempt], Awaitable[Any]] = field(repr=False)
    """Gives the reply, or raises ServiceError."""
    repeats: bool = field(default=False, repr=False)
    """Sends the request more than once: a stream of requests cannot be."""


ok = Fault("ok", Attempt.send)
"""No fault: the attempt is made."""


def latency(seconds: float) -> Fault:
    """The request is under way for so many seconds. Where the deadline comes first, it never arrives."""

    async def act(attempt: Attempt) -> Any:
        in_time = await attempt.wait(seconds)
        return await (attempt.send() if in_time else attempt.fail(_expired()))

    return Fault(f"latency({seconds:g})", act)


def hang() -> Fault:
    """Nothing is sent and nothing comes, until the deadline."""

    async def act(attempt: Attempt) -> Any:
        await attempt.wait(math.inf)
        return await attempt.fail(_expired())

    return Fault("hang()", act)


def status(code: grpc.StatusCode, reason: str = "", pushback_s: float | None = None) -> Fault:
    """The attempt fails, and nothing is sent.

    Args:
        code: what it fails with; UNAVAILABLE without a reason is what grpc itself says of a server that is not there.
        reason: of the ErrorInfo, as the server would send it; empty: it sends none.
        pushback_s: seconds after which the server asks to come back; negative: never (gRFC A6).

    Raises:
        ValueError: OK is no failure.
    """
    if code is grpc.StatusCode.OK:
        raise ValueError("OK is no failure: the fault that does nothing is `ok`")

    async def act(attempt: Attempt) -> Any:
        error = ServiceError(code, reason, "as the fault plan says", retry_after_s=pushback_s)
        error.domain = PLATFORM_DOMAIN if _is_platforms(reason) else attempt.call.method.package
        trailers = [one for one in trailers_of(error) if reason or one[0] != headers.STATUS_DETAILS]
        return await attempt.fail(failed(code, error.message, *trailers))

    return Fault(f"status({', '.join([code.name, *([reason] if reason else [])])})", act)


def drop_after_effect() -> Fault:
    """The request is sent, the server finishes and commits, and its reply is lost: UNAVAILABLE / PEER_UNREACHABLE."""
    return Fault("drop_after_effect()", Attempt.lose)


def duplicate() -> Fault:
    """The request arrives twice with the same metadata, the second time after the first was answered.

    The caller gets the second answer. For a stream of requests it cannot be: its messages are gone once they are sent.
    """

    async def act(attempt: Attempt) -> Any:
        with suppress(ServiceError):
            await attempt.lose()
        return await attempt.send()

    return Fault("duplicate()", act, repeats=True)


class Counts(Counter[str]):
    """Numbers by path of a method. A short name, a full one or `*` gives the sum of all that it fits."""

    def __missing__(self, name: str) -> int:
        return sum(number for path, number in self.items() if fits(name, path))


class Met(NamedTuple):
    """What has happened to an attempt."""

    method: str
    """Path of the rpc."""
    fault: Fault
    """`ok` for an attempt that nothing was done to."""


class FaultPlan:
    """What happens to the attempts of calls, by method. Its `link` stands innermost in the client chain.

    plan = FaultPlan()
    channel = connect("item", order=(*CLIENT_ORDER, plan.link))
    plan.on("GetItem", status(grpc.StatusCode.UNAVAILABLE), ok)

    A method is named as `GetItem`, as `pos.item.v1.ItemService/GetItem`, or `*` for all. A script goes before what
    always happens, that before what happens at random, and a name before `*`.
    """

    def __init__(self, sleep: Sleep = asyncio.sleep) -> None:
        """Plans nothing yet.

        Args:
            sleep: how latencies are waited for; `FakeClock.sleep` takes no time.
        """
        self.sleep = sleep
        """How latencies are waited for."""
        self.seed: int | None = None
        """What the dice were made with; None: nothing happens at random."""
        self.attempts = Counts()
        """Attempts that came here, whatever happened to them."""
        self.sent = Counts()
        """Requests that really went out."""
        self.history: list[Met] = []
        """What has happened to each attempt, in order."""
        self._scripts: dict[str, deque[Fault]] = {}
        self._always: dict[str, Fault] = {}
        self._odds: Mapping[Fault, float] = {}

    def on(self, method: str, *faults: Fault) -> None:
        """What happens to the next attempts of a method, one after the other; then nothing, or what always happens."""
        self._scripts.setdefault(method, deque()).extend(faults)

    def always(self, method: str, fault: Fault) -> None:
        """What happens to every attempt of a method that no script is for."""
        self._always[method] = fault

    def randomly(self, seed: int | None, odds: Mapping[Fault, float]) -> None:
        """Every attempt meets a fault with its probability, decided by its method, its number there, and the seed.

        The seed is printed: pytest shows it where a test fails.

        Args:
            seed: the same one makes the same faults; None: one is drawn.
            odds: probability of each fault; what is left to 1 is that of none.

        Raises:
            ValueError: a probability is negative, or they are more than 1 together.
        """
        if min(odds.values(), default=0.0) < 0 or sum(odds.values()) > 1 + 1e-9:
            raise ValueError("probabilities are not negative, and no more than 1 together")
        self.seed, self._odds = random.getrandbits(32) if seed is None else seed, dict(odds)
        print(f"FaultPlan.randomly(seed={self.seed})")

    def heal(self) -> None:
        """Nothing happens any more. What was counted stays."""
        self._scripts, self._always, self._odds = {}, {}, {}

    @property
    def unmet(self) -> dict[str, list[Fault]]:
        """What is left of the scripts: faults that no attempt has met, by the name they were planned for."""
        return {name: list(script) for name, script in self._scripts.items() if script}

    def link(self, method: Method, peer: Peer) -> Policy[ClientCall, Any]:
        """The link of the client chain, innermost: `order=(*CLIENT_ORDER, plan.link)`."""

        async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
            fault = self._next(method)
            self.attempts[method.path] += 1
            self.history.append(Met(method.path, fault))
            if fault.repeats and method.client_streaming:
                raise ValueError(f"{fault.name}: the stream of requests of {method.path} cannot be sent twice")
            return await fault.act(Attempt(call, proceed, peer, self))

        return policy

    def _next(self, method: Method) -> Fault:
        planned = [name for name in (*self._scripts, *self._always) if fits(name, method.path)]
        planned.sort(key=lambda name: name == EVERY)
        for name in planned:
            if script := self._scripts.get(name):
                return script.popleft()
        for name in planned:
            if name in self._always:
                return self._always[name]
        return self._thrown(method)

    def _thrown(self, method: Method) -> Fault:
        # Dice of its own for every attempt: how calls of several methods come to mix changes nothing.
        dice = random.Random(f"{self.seed} {method.path} {self.attempts[method.path]}").random()
        for fault, probability in self._odds.items():
            dice -= probability
            if dice < 0:
                return ok if fault.repeats and method.client_streaming else fault
        return ok


def fits(name: str, path: str) -> bool:
    """Whether a name means the method of a path: `*`, `GetItem`, or its full name with a slash or all dots."""
    full = path.removeprefix("/")
    return name == EVERY or name.removeprefix("/") in (full, full.replace("/", "."), full.rpartition("/")[2])


def _expired() -> grpc.aio.AioRpcError:
    return failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


def _is_platforms(reason: str) -> bool:
    return f"ERROR_REASON_{reason}" in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
