"""The commands that we send to Redis, and since which version it has them; and a proxy that writes down what is sent.

The versions are those of the server's own descriptions of its commands, `since` and `history`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from trunkline.testing.resp_faults import ReplyFault, ReplyPlan
from trunkline.testing.resp_frames import Command

OLDEST = (6, 2, 0)
"""The oldest server that will do."""


@dataclass(frozen=True, slots=True)
class Known:
    """A command."""

    since: str
    """Version that brought it."""
    options: dict[str, str] = field(default_factory=dict)
    """Words among its arguments, and the version that brought each."""


COMMANDS = {
    # Connections.
    "AUTH": Known("1.0.0"),
    "CLIENT SETNAME": Known("2.6.9"),
    "PING": Known("1.0.0"),
    "SELECT": Known("1.0.0"),
    # What a server tells of itself.
    "CONFIG GET": Known("2.0.0"),
    "INFO": Known("1.0.0"),
    "TIME": Known("2.6.0"),
    "SENTINEL GET-MASTER-ADDR-BY-NAME": Known("2.8.4"),
    "ASKING": Known("3.0.0"),
    # Scripts.
    "EVAL": Known("2.6.0"),
    "EVALSHA": Known("2.6.0"),
    "SCRIPT LOAD": Known("2.6.0"),
    # Transactions.
    "EXEC": Known("1.2.0"),
    "MULTI": Known("1.2.0"),
    # Channels.
    "PUBLISH": Known("2.0.0"),
    "SUBSCRIBE": Known("2.0.0"),
    # Streams.
    "XACK": Known("5.0.0"),
    "XADD": Known("5.0.0", {"*": "5.0.0"}),
    "XCLAIM": Known("5.0.0", {"JUSTID": "5.0.0"}),
    "XGROUP CREATE": Known("5.0.0", {"MKSTREAM": "5.0.0"}),
    "XGROUP DELCONSUMER": Known("5.0.0"),
    "XINFO CONSUMERS": Known("5.0.0"),
    "XINFO GROUPS": Known("5.0.0"),
    "XINFO STREAM": Known("5.0.0"),
    # From an id on that is left out: `(`.
    "XPENDING": Known("5.0.0", {"(": "6.2.0"}),
    "XREADGROUP": Known("5.0.0", {"GROUP": "5.0.0", "COUNT": "5.0.0", "BLOCK": "5.0.0", "STREAMS": "5.0.0"}),
    "XTRIM": Known("5.0.0", {"MINID": "6.2.0", "~": "5.0.0"}),
    # Keys.
    "DEL": Known("1.0.0"),
    "EXISTS": Known("1.0.0"),
    "GET": Known("1.0.0"),
    "GETRANGE": Known("2.4.0"),
    "HDEL": Known("2.0.0"),
    "HGET": Known("2.0.0"),
    "HGETALL": Known("2.0.0"),
    "HSET": Known("2.0.0"),
    "MGET": Known("1.0.0"),
    "PEXPIRE": Known("2.6.0"),
    "PTTL": Known("2.6.0"),
    "SADD": Known("1.0.0"),
    "SET": Known("1.0.0", {"NX": "2.6.12", "PX": "2.6.12"}),
    "SMEMBERS": Known("1.0.0"),
}
"""All of them."""

_WORD = re.compile(rb"[A-Z][A-Z-]+|[*~=(]")
_CALL = re.compile(r"redis\.p?call\((.*)")
_QUOTED = re.compile(r"'([A-Z]{2,})'")
_CONTAINERS = {name.partition(" ")[0] for name in COMMANDS if " " in name}


class Recorder(ReplyPlan):
    """Writes down each command of a proxy: its name, and the words among its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, set[str]] = {}
        """Name and words."""

    def fault_of(self, command: Command) -> ReplyFault:
        """As it was planned."""
        for name, words in _named(command):
            self.sent.setdefault(name, set()).update(words)
        return super().fault_of(command)

    @property
    def unknown(self) -> list[str]:
        """What the table has not, or says to be younger than the oldest server."""
        found = []
        for name, words in sorted(self.sent.items()):
            known = COMMANDS.get(name, Known("never"))
            since = {name: known.since, **{f"{name} … {word}": known.options.get(word, "never") for word in words}}
            found += [f"{what}: {version}" for what, version in since.items() if not is_old(version)]
        return found


def is_old(version: str) -> bool:
    """Whether the oldest server has what came with a version."""
    return version != "never" and tuple(map(int, version.split("."))) <= OLDEST


def _named(command: Command) -> Iterator[tuple[str, set[str]]]:
    name, arguments = command.name, list(command.arguments)
    if name in ("EVAL", "SCRIPT LOAD"):
        yield from _called(arguments.pop(0).decode())
    if name in _CONTAINERS:
        name = f"{name} {arguments.pop(0).decode().upper()}"
    words = {one.decode() for one in arguments if _WORD.fullmatch(one)}
    # A range that leaves its end out is written as one word with it.
    words |= {"(" for one in arguments if name == "XPENDING" and one.startswith(b"(")}
    yield name, words


def _called(script: str) -> Iterator[tuple[str, set[str]]]:
    """What a script does; each of its calls stands on one line."""
    for line in _CALL.findall(script):
        name, *words = _QUOTED.findall(line)
        if name in _CONTAINERS:
            name = f"{name} {words.pop(0)}"
        yield name, set(words)
