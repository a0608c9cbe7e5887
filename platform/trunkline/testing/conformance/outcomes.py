"""How a call may end, whatever links it passes: answered, failed, cancelled, late, cut off, dropped, left early."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc

from trunkline.testing.clock import FakeClock
from trunkline.testing.conformance import expected as right
from trunkline.testing.conformance import plays
from trunkline.testing.conformance.chains import Chain
from trunkline.testing.conformance.expected import Expected, Plan
from trunkline.testing.conformance.rpcs import Rpc
from trunkline.testing.conformance.servicers import ALL, TOKEN, Script
from trunkline.testing.conformance.stage import Stage


def everywhere(_: Chain, __: Rpc) -> bool:
    """It may happen to every call."""
    return True


def unary(_: Chain, rpc: Rpc) -> bool:
    """It may happen to calls without a stream."""
    return not rpc.streams


def streamed(_: Chain, rpc: Rpc) -> bool:
    """It may happen to streaming replies."""
    return rpc.method.server_streaming


def sends_stream(_: Chain, rpc: Rpc) -> bool:
    """It may happen to streams of requests."""
    return rpc.method.client_streaming


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
    prime: Callable[[Stage], Awaitable[None]] = plays.nothing
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
    return [
        Outcome(name="ok", play=plays.made, expect=right.answered),
        Outcome(name="joined", play=plays.joined, expect=right.answered, fits=unary),
        *(_status(code) for code in grpc.StatusCode if code is not right.OK),
        *_further_failures(),
        *_cancellations(),
        Outcome(name="deadline", play=plays.too_late, expect=right.expired, script=stuck),
        Outcome(name="peer-stops", play=plays.peer_stops, expect=right.unreachable, script=stuck, next=False),
        Outcome(name="peer-cut", play=plays.peer_cut, expect=right.cut, script=_stuck_once, cuts=True),
        Outcome(
            name="peer-cut-late",
            play=plays.peer_cut,
            expect=right.cut_late,
            script=_stuck_late,
            fits=streamed,
            cuts=True,
        ),
    ]


def _status(code: grpc.StatusCode) -> Outcome:
    return Outcome(
        name=code.name,
        play=plays.made,
        expect=partial(right.failed, code=code, reason="AS_ASKED"),
        script=lambda _: Script(codes=(code,) * 5),
    )


def _further_failures() -> list[Outcome]:
    absent: dict[str, Any] = {"expect": right.not_found, "script": _absent, "fits": sends_stream}
    return [
        Outcome(name="UNAVAILABLE-late", play=plays.made, expect=right.failed_late, script=_late, fits=streamed),
        Outcome(name="NOT_FOUND-early", play=plays.sent_on, **absent),
        Outcome(name="NOT_FOUND-written", play=plays.written_on, **absent),
        Outcome(name="exception", play=plays.made, expect=right.unknown, script=_raising),
    ]


def _cancellations() -> list[Outcome]:
    late: dict[str, Any] = {"expect": right.left_late, "script": _stuck_late, "fits": streamed}
    return [
        Outcome(name="cancel-before", play=plays.cancelled_before, expect=right.never_sent),
        Outcome(name="cancel-during", play=plays.cancelled, expect=right.left, script=stuck),
        Outcome(name="cancel-waiter", play=plays.waiter_cancelled, expect=right.left, script=stuck),
        Outcome(name="cancel-joined", play=plays.joined_cancelled, expect=right.left, script=stuck, fits=unary),
        Outcome(name="cancel-late", play=plays.cancelled, **late),
        Outcome(name="cancel-after", play=plays.cancelled_after, expect=right.answered),
        Outcome(name="dropped", play=plays.dropped, expect=right.unread, script=_unread),
        Outcome(name="dropped-begun", play=plays.dropped_begun, **late),
        Outcome(name="break", play=plays.broken_off, **late),
    ]


def stuck(_: Rpc) -> Script:
    """No handler ever answers."""
    return Script(stuck=ALL)


def _stuck_once(_: Rpc) -> Script:
    return Script(stuck=1)


def _stuck_late(_: Rpc) -> Script:
    return Script(stuck=ALL, late=True)


def _late(_: Rpc) -> Script:
    return Script(codes=(right.UNAVAILABLE,), late=True)


def _absent(_: Rpc) -> Script:
    return Script(codes=(grpc.StatusCode.NOT_FOUND,))


def _raising(_: Rpc) -> Script:
    return Script(raises=ValueError("nobody knows this"))


def _unread(rpc: Rpc) -> Script:
    # A unary call that nobody awaits runs to its end all the same: its failure must not be complained of.
    return stuck(rpc) if rpc.streams else _absent(rpc)
