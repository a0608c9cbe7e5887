"""What a RespProxy can do to one command and its reply, and the plan of what it does to which."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from trunkline.testing.resp_frames import Command, error_frame

EVERY = "*"
"""Stands for all commands."""


@dataclass(frozen=True, slots=True)
class ReplyFault:
    """What happens to one command. The functions below make those that are needed."""

    name: str
    """How it is told."""
    runs: bool = field(default=True, repr=False)
    """Whether the server gets the command."""
    answer: bytes | None = field(default=None, repr=False)
    """What the client is told; None: what the server says."""
    instead: Literal["cut", "silence"] | None = field(default=None, repr=False)
    """What comes in place of a reply: the end of the connection, or nothing any more."""
    last: bool = field(default=False, repr=False)
    """Nothing that the client sent after it on this connection reaches the server."""
    delay_s: float = field(default=0.0, repr=False)
    """Seconds that the reply, and with it what follows it on this connection, is late."""
    hold: Hold | None = field(default=None, repr=False)
    """What the reply waits for."""


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """A reply that is kept back until a test lets it go."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server has executed the command."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the test: the reply goes on. Healing sets it too."""


ok = ReplyFault("ok")
"""No fault."""


def drop_reply(*, silent: bool = False) -> ReplyFault:
    """The server executes the command, and the client never hears of it: it does not know what was done.

    What the client sent behind it in the same pipeline is mostly executed too.

    Args:
        silent: Nothing comes back on this connection any more, until the client gives up; else it is reset at once.
    """
    return ReplyFault(f"drop_reply(silent={silent})", instead="silence" if silent else "cut")


def delay_reply(seconds: float) -> ReplyFault:
    """The server executes the command; its reply comes so much later, and what follows it later too."""
    return ReplyFault(f"delay_reply({seconds:g})", delay_s=seconds)


def hold_reply(hold: Hold) -> ReplyFault:
    """The server executes the command; its reply waits until the test sets `hold.released`."""
    return ReplyFault("hold_reply()", hold=hold)


def refuse(error: str) -> ReplyFault:
    """The server does not get the command; the client is told an error such as `OOM command not allowed when …`."""
    return ReplyFault(f"refuse({error!r})", runs=False, answer=error_frame(error))


def misreport(error: str) -> ReplyFault:
    """The server executes the command, and the client is told an error."""
    return ReplyFault(f"misreport({error!r})", answer=error_frame(error))


def cut_before() -> ReplyFault:
    """Everything before the command is executed and answered; then the connection is reset."""
    return ReplyFault("cut_before()", runs=False, instead="cut", last=True)


def cut_after() -> ReplyFault:
    """The command is executed, what follows it is not; neither its reply nor anything else comes back."""
    return ReplyFault("cut_after()", instead="cut", last=True)


READONLY = "READONLY You can't write against a read only replica."
LOADING = "LOADING Redis is loading the dataset in memory"
BUSY = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
MASTERDOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
OOM = "OOM command not allowed when used memory > 'maxmemory'."
MISCONF = "MISCONF Errors writing to the AOF file: No space left on device"
NOPERM = "NOPERM this user has no permissions to run the command"
WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


class ReplyPlan:
    """Which commands meet which faults, over all connections of a proxy.

    A script goes before what always happens, that before what happens at random; one for a key goes before one for
    all keys, and a name before `*`.
    """

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()
        """Commands that came, by name, whatever happened to them."""
        self.replies: Counter[str] = Counter()
        """Commands that the server has answered, whether or not its reply went on."""
        self.met: Counter[str] = Counter()
        """Faults that happened, by their name."""
        self.seed: int | None = None
        """What the dice were made with."""
        self._scripts: dict[tuple[str, bytes | None], deque[ReplyFault]] = {}
        self._always: dict[tuple[str, bytes | None], ReplyFault] = {}
        self._odds: Mapping[str, Mapping[ReplyFault, float]] = {}
        self._holds: list[Hold] = []

    def on(self, name: str, *faults: ReplyFault, nth: int = 1, key: str | None = None) -> None:
        """What happens to the next commands of a name, one after the other; then nothing, or what always happens.

        Args:
            name: Such as XADD, XGROUP CREATE, or `*` for all.
            faults: The first is for the nth command from now on.
            nth: How many of them to count, that one included.
            key: Only commands count that have it among their arguments.
        """
        script = self._scripts.setdefault((name, _encoded(key)), deque())
        script.extend([ok] * (nth - 1))
        script.extend(faults)

    def always(self, name: str, fault: ReplyFault, *, key: str | None = None) -> None:
        """What happens to every command of a name that no script is for."""
        self._always[name, _encoded(key)] = fault

    def randomly(self, seed: int | None, odds: Mapping[str, Mapping[ReplyFault, float]]) -> None:
        """Commands meet faults with a probability, decided by their name, their number there, and the seed.

        The seed is printed: pytest shows it where a test fails.
        """
        self.seed, self._odds = random.getrandbits(32) if seed is None else seed, dict(odds)
        print(f"ReplyPlan.randomly(seed={self.seed})")

    def forget(self) -> None:
        """Nothing happens any more, and what is held goes on. What was counted stays."""
        self._scripts, self._always, self._odds = {}, {}, {}
        for hold in self._holds:
            hold.released.set()

    @property
    def unmet(self) -> dict[str, list[ReplyFault]]:
        """What is left of the scripts: faults that no command has met, by the name they were planned for."""
        return {name: list(script) for (name, _), script in self._scripts.items() if script}

    def fault_of(self, command: Command) -> ReplyFault:
        """What happens to a command that has just come."""
        self.commands[command.name] += 1
        fault = self._next(command)
        if fault is not ok:
            self.met[fault.name] += 1
        if fault.hold is not None:
            self._holds.append(fault.hold)
        return fault

    def _next(self, command: Command) -> ReplyFault:
        planned = [one for one in (*self._scripts, *self._always) if _fits(one, command)]
        planned.sort(key=lambda one: (one[1] is None, one[0] == EVERY))
        for one in planned:
            if script := self._scripts.get(one):
                return script.popleft()
        for one in planned:
            if one in self._always:
                return self._always[one]
        return self._thrown(command)

    def _thrown(self, command: Command) -> ReplyFault:
        odds = self._odds.get(command.name, {})
        dice = random.Random(f"{self.seed} {command.name} {self.commands[command.name]}").random() if odds else 1.0
        for fault, probability in odds.items():
            dice -= probability
            if dice < 0:
                return fault
        return ok


def _fits(planned: tuple[str, bytes | None], command: Command) -> bool:
    name, key = planned
    return name in (EVERY, command.name) and (key is None or key in command.arguments)


def _encoded(key: str | None) -> bytes | None:
    return None if key is None else key.encode()
