"""A proxy before Redis that understands commands: it loses, delays or forges the reply of one of them.

What is lost with a reply is only the knowledge: the server has executed the command. That is the case which a client
that repeats, or believes it has failed, gets wrong.
"""

from __future__ import annotations

import socket
from collections import deque
from dataclasses import dataclass, field

from trunkline.testing.fault_connection import Connection, Pump
from trunkline.testing.fault_proxy import FaultProxy
from trunkline.testing.resp_faults import ReplyFault, ReplyPlan, ok
from trunkline.testing.resp_frames import LISTENING, Command, Frames, error_frame, is_push

BOUNDS = ("MULTI", "EXEC", "DISCARD")
"""Commands that begin and end a transaction."""
DISCARD = b"*1\r\n$7\r\nDISCARD\r\n"
ABORTED = ReplyFault("aborted", answer=error_frame("EXECABORT Transaction discarded because of previous errors."))
"""What comes of EXEC after a refusal."""


class RespProxy(FaultProxy):
    """A FaultProxy before Redis, with faults for single commands. Its modes work too. An async context manager.

    async with RespProxy("127.0.0.1", port) as proxy:
        proxy.plan.on("XADD", drop_reply(), nth=3)
        link = Link(f"redis://{proxy.target}/0", name="test")
    """

    def __init__(self, host: str, port: int, *, plan: ReplyPlan | None = None) -> None:
        """Opens nothing yet.

        Args:
            host: Where Redis is.
            port: Its port.
            plan: What happens to which command; several proxies may follow one.
        """
        super().__init__(host, port)
        self.plan = plan or ReplyPlan()
        """What happens to which command, and what was counted."""

    async def heal(self) -> None:
        """Lets everything pass again, and ends the plan. Connections that lost a reply in silence are reset."""
        self.plan.forget()
        await super().heal()

    def _connection(self, client: socket.socket) -> Connection:
        return RespConnection(self._switch, client, plan=self.plan)


@dataclass(slots=True)
class Asked:
    """A command whose reply the client waits for."""

    command: Command
    """The command."""
    fault: ReplyFault
    """What happens to it."""


@dataclass(slots=True, eq=False, kw_only=True)
class RespConnection(Connection):
    """A connection of a client of Redis."""

    plan: ReplyPlan
    """What it follows."""
    asked: deque[Asked] = field(default_factory=deque)
    """Commands that wait for their reply, oldest first: Redis answers in order."""
    deaf: bool = False
    """Nothing that the client sends reaches the server any more."""
    mute: bool = False
    """Nothing that the server sends reaches the client any more."""
    listens: bool = False
    """It has subscribed: what comes answers nothing."""
    aborted: bool = False
    """A command was refused since MULTI: like a server's, its EXEC does nothing."""

    def pumps(self, server: socket.socket) -> tuple[Pump, Pump]:
        """What carries commands, and what carries replies."""
        replies = _Replies(self, server)
        return _Commands(self, server, replies), replies


class _Commands(Pump):
    """Sends on what may be executed."""

    def __init__(self, connection: RespConnection, server: socket.socket, replies: _Replies) -> None:
        super().__init__(connection, "request", connection.client, server)
        self._one = connection
        self._replies = replies
        self._frames = Frames()

    async def take(self, data: bytes) -> None:
        """Looks at each command in turn."""
        for frame in self._frames.feed(data):
            if self._one.deaf:
                self._switch.counts.dropped_bytes += len(frame)
                continue
            command = Command.of(frame)
            fault = self._one.plan.fault_of(command)
            if command.name == "EXEC" and self._one.aborted and fault == ok:
                frame, fault = DISCARD, ABORTED
            self._note_transaction(command, fault)
            self._one.asked.append(Asked(command, fault))
            self._one.deaf = fault.last
            if fault.runs:
                self.put(frame)
            self._replies.tell_local()

    def _note_transaction(self, command: Command, fault: ReplyFault) -> None:
        if command.name in BOUNDS:
            self._one.aborted = False
        elif fault.answer is not None and not fault.runs:
            self._one.aborted = True


class _Replies(Pump):
    """Gives back what the client may hear."""

    def __init__(self, connection: RespConnection, server: socket.socket) -> None:
        super().__init__(connection, "response", server, connection.client)
        self._one = connection
        self._frames = Frames()

    async def take(self, data: bytes) -> None:
        """Looks at each reply in turn; the one that waits holds up those behind it."""
        for frame in self._frames.feed(data):
            # What nobody asked for: a message, or the refusal of one client too many.
            if self._one.listens or is_push(frame) or not self._one.asked:
                self._give(frame)
                continue
            asked = self._one.asked[0]
            await self._answered(asked)
            self._end(asked, frame)

    def tell_local(self) -> None:
        """Answers what the server never got, once everything before it is answered."""
        while self._one.asked and not self._one.asked[0].fault.runs:
            self._end(self._one.asked[0], b"")

    async def _answered(self, asked: Asked) -> None:
        self._one.plan.replies[asked.command.name] += 1
        if (hold := asked.fault.hold) is not None:
            hold.reached.set()
            await hold.released.wait()
        if asked.fault.delay_s:
            await self._switch.wait(self._switch.clock.monotonic() + asked.fault.delay_s, self._switch.changed)

    def _end(self, asked: Asked, frame: bytes) -> None:
        self._one.asked.popleft()
        if asked.command.name in LISTENING and asked.fault.runs:
            self._one.listens = True
        if asked.fault.instead == "cut":
            self.put(None)
        elif asked.fault.instead == "silence":
            self._one.mute = self._one.lossy = True
        self._give(b"" if asked.fault.instead else asked.fault.answer or frame)
        if asked.fault.runs:
            self.tell_local()

    def _give(self, frame: bytes) -> None:
        if self._one.mute:
            self._switch.counts.dropped_bytes += len(frame)
        elif frame:
            self.put(frame)
