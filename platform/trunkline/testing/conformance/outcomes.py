"""How a call may end, whatever links it passes: answered, failed, cancelled, late, cut off, dropped, left early."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import grpc

from trunkline.errors import ServiceError
from trunkline.testing.clock import FakeClock
from trunkline.testing.conformance.chains import Chain
from trunkline.testing.conformance.expected import UNAVAILABLE, Expected, Plan, answered, failed, left
from trunkline.testing.conformance.rpcs import Rpc
from trunkline.testing.conformance.servicers import ALL, TOKEN, Script
from trunkline.testing.conformance.stage import Seen, Stage

MANY = 20
"""Requests of a stream that is still being sent when its call fails."""
DEADLINE_S = 0.1
"""Seconds that a call has which is to be late: enough to reach its handler on a busy machine."""


def everywhere(_: Chain, __: Rpc) -> bool:
    """It may happen to every call."""
    return True


def streamed(_: Chain, rpc: Rpc) -> bool:
    """It may happen to streaming replies."""
    return rpc.method.server_streaming


def sends_stream(_: Chain, rpc: Rpc) -> bool:
    """It may happen to streams of requests."""
    return rpc.method.client_streaming


async def nothing(stage: Stage) -> None:
    """Nothing happens before the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One way a call may end."""

    name: str
    """Such as `UNAVAILABLE` or `cancel-during`."""
    play: Callable[[Stage], Awaitable[None]]
    """Makes the call, and what happens to it."""
    expect: Callable[[Plan], Expected]
    """What is right."""
    script: Callable[[Rpc], Script] = lambda _: Script()
    """What the handlers do."""
    prime: Callable[[Stage], Awaitable[None]] = nothing
    """What happens before; it is not counted."""
    fits: Callable[[Chain, Rpc], bool] = everywhere
    """Whether it may happen to a call of an rpc through a chain."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of both sides, beside those of every case."""
    access: str = "authenticated"
    """Who may call, where links look at that."""
    token: str | None = TOKEN
    """What the caller shows; None: it has no credential."""
    clock: Callable[[], FakeClock] | None = None
    """Makes the time of both sides, where it must be moved; None: it passes."""
    cuts: bool = False
    """The connection leads through a proxy that can cut it."""
    next: bool = True
    """The next call of the same kind is answered."""


def outcomes() -> list[Outcome]:
    """All of them."""
    codes = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
    return [
        Outcome(name="ok", play=made, expect=answered),
        *(_status(code) for code in codes),
        Outcome(name="UNAVAILABLE-late", play=made, expect=_failed_late, script=_late_failure, fits=streamed),
        Outcome(name="NOT_FOUND-early", play=_sent_on, expect=_not_found, script=_not_there, fits=sends_stream),
        Outcome(name="NOT_FOUND-written", play=_written_on, expect=_not_found, script=_not_there, fits=sends_stream),
        Outcome(name="exception", play=made, expect=_unknown, script=lambda _: Script(raises=ValueError("unknown"))),
        Outcome(name="cancel-before", play=_cancelled_before, expect=_never_sent),
        Outcome(name="cancel-during", play=_cancelled, expect=left, script=stuck_script),
        Outcome(name="cancel-waiter", play=_waiter_cancelled, expect=left, script=stuck_script),
        Outcome(name="cancel-after", play=_cancelled_after, expect=answered),
        Outcome(name="deadline", play=_too_late, expect=_expired, script=stuck_script),
        Outcome(name="peer-stops", play=_peer_stops, expect=_unreachable, script=stuck_script, next=False),
        Outcome(name="peer-cut", play=_peer_cut, expect=_cut, script=lambda _: Script(stuck=1), cuts=True),
        Outcome(name="dropped", play=_dropped, expect=_unread, script=_dropped_script),
        Outcome(name="dropped-begun", play=_dropped_begun, expect=_begun, script=_stuck_late, fits=streamed),
        Outcome(name="break", play=_broken_off, expect=partial(left, messages=1), script=_stuck_late, fits=streamed),
    ]


def _status(code: grpc.StatusCode) -> Outcome:
    return Outcome(
        name=code.name,
        play=made,
        expect=partial(failed, code=code, reason="AS_ASKED"),
        script=lambda _: Script(codes=(code,) * 5),
    )


def stuck_script(_: Rpc) -> Script:
    """No handler ever answers."""
    return Script(stuck=ALL)


def _stuck_late(_: Rpc) -> Script:
    return Script(stuck=ALL, late=True)


def _late_failure(_: Rpc) -> Script:
    return Script(codes=(UNAVAILABLE,), late=True)


def _not_there(_: Rpc) -> Script:
    return Script(codes=(grpc.StatusCode.NOT_FOUND,))


def _dropped_script(rpc: Rpc) -> Script:
    # A unary call that nobody awaits runs to its end all the same: its failure must not be complained of.
    return Script(stuck=ALL) if rpc.streams else _not_there(rpc)


async def made(stage: Stage) -> None:
    """Makes one call and takes all that comes of it."""
    await stage.finish(stage.begin())


async def _sent_on(stage: Stage) -> None:
    await stage.finish(stage.begin(requests=MANY))


async def _written_on(stage: Stage) -> None:
    call, request = stage.begin(requests=0), stage.plan.rpc.request("first")
    await call.write(request)
    await stage.happens("the call ends", call.done)
    try:
        await call.write(request)
    except ServiceError as error:
        if error.code is not grpc.StatusCode.NOT_FOUND:
            stage.problems.append(f"write() to a call that has failed raises {error!r}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is wrong
        stage.problems.append(f"write() to a call that has failed raises {error!r}")
    else:
        stage.problems.append("write() to a call that has failed goes well")
    await stage.finish(call)


async def _cancelled_before(stage: Stage) -> None:
    call = stage.begin(held=True)
    if not call.cancel():
        stage.problems.append("cancel() of a call that has not begun does nothing")
    await stage.finish(call)


async def _cancelled(stage: Stage) -> None:
    call, seen = stage.begin(held=True), Seen()
    reader = stage.reading(call, seen)
    await stage.stuck()
    if not call.cancel():
        stage.problems.append("cancel() of a call that runs does nothing")
    await stage.ended(call, reader, seen)


async def _waiter_cancelled(stage: Stage) -> None:
    call, seen = stage.begin(held=True), Seen()
    reader = stage.reading(call, seen)
    await stage.stuck()
    reader.cancel()
    await stage.ended(call, reader, seen)


async def _cancelled_after(stage: Stage) -> None:
    call = stage.begin()
    await stage.finish(call)
    if call.cancel():
        stage.problems.append("cancel() of a call that has ended says that it cancelled")
    assert stage.seen is not None
    await stage.agree(call, stage.seen)


async def _too_late(stage: Stage) -> None:
    await stage.finish(stage.begin(held=True, timeout=DEADLINE_S))


async def _peer_stops(stage: Stage) -> None:
    call, seen = stage.begin(held=True), Seen()
    reader = stage.reading(call, seen)
    await stage.stuck()
    await stage.server.drain()
    await stage.ended(call, reader, seen)


async def _peer_cut(stage: Stage) -> None:
    call, seen = stage.begin(held=True), Seen()
    reader = stage.reading(call, seen)
    await stage.stuck()
    assert stage.proxy is not None
    await stage.proxy.reset_connections()
    await stage.ended(call, reader, seen)


async def _dropped(stage: Stage) -> None:
    call = stage.begin(held=True)
    await stage.happens("the call reaches its handler", lambda: stage.script.handled == 1)
    if stage.plan.rpc.streams:
        await stage.stuck()
    del call


async def _dropped_begun(stage: Stage) -> None:
    call = stage.begin(held=True)
    await stage.stuck()
    await call.initial_metadata()
    del call


async def _broken_off(stage: Stage) -> None:
    call = stage.begin(held=True)
    stage.seen = seen = Seen()
    async for _ in call:
        seen.messages += 1
        break
    seen.raised = "CancelledError"  # what the next read would raise
    await stage.happens("the handler is cancelled", lambda: stage.script.cancelled == 1)
    await stage.agree(call, seen)


def _failed_late(plan: Plan) -> Expected:
    told = {"UNAVAILABLE": 1}
    found = Expected(code=UNAVAILABLE, reason="AS_ASKED", messages=1, handled=1, attempts=told, calls=told, served=told)
    # A probe that asks once is proven by the first message; of a chat nothing is known before its end.
    return found.after(plan, not plan.rpc.method.client_streaming)


def _unknown(plan: Plan) -> Expected:
    return failed(plan, grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")


def _never_sent(plan: Plan) -> Expected:
    # A breaker that was open stays so.
    return Expected(code=grpc.StatusCode.CANCELLED).after(plan, False)


def _expired(plan: Plan) -> Expected:
    code = grpc.StatusCode.DEADLINE_EXCEEDED
    found = replace(failed(plan, code, "DEADLINE_EXPIRED"), stopped=1)
    # Without its deadline link the server sees no more than that its caller has gone.
    return found if "deadline" in plan.server else replace(found, served={"CANCELLED": 1})


def _unreachable(plan: Plan) -> Expected:
    found = failed(plan, UNAVAILABLE, "PEER_UNREACHABLE")
    return replace(found, handled=1, stopped=1, served={"CANCELLED": 1})


def _cut(plan: Plan) -> Expected:
    if plan.attempts == 1:
        return _unreachable(plan)
    return replace(
        answered(plan),
        handled=2,
        stopped=1,
        attempts={"UNAVAILABLE": 1, "OK": 1},
        served={"CANCELLED": 1, "OK": 1},
        retries=1,
    )


def _unread(plan: Plan) -> Expected:
    if plan.rpc.streams:
        return left(plan)
    return _not_found(plan)


def _not_found(plan: Plan) -> Expected:
    return failed(plan, grpc.StatusCode.NOT_FOUND, "AS_ASKED")


def _begun(plan: Plan) -> Expected:
    return left(plan, messages=1)
