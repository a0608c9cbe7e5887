"""In what order credentials are tried, and when the next one may follow. Pure: text in, decisions out."""

from __future__ import annotations

import enum
from dataclasses import dataclass

EVERY_TARGET = ""
"""Stands for every target that has no list of its own."""
REFUSED_S = 60.0
"""How long a credential that a peer has refused is passed over, where the list allows that, in seconds."""


class Outcome(enum.StrEnum):
    """What came of trying a credential."""

    USED = "used"
    """It had a token, which was sent."""
    ABSENT = "absent"
    """There is none: no file, an empty one, or no caller whose token could be forwarded."""
    REFUSED = "refused"
    """The identity service does not take it, or the peer did not take its token."""
    FAILED = "failed"
    """It is there and could not be used: its file is open to others, or the identity service is away."""


def next_may_follow(outcome: Outcome, *, even_if_refused: bool) -> bool:
    """Whether the next credential of the list is tried.

    After one that is absent, always. After one that was refused, only where the list says so. Never after one that
    failed: a credential that is there is meant to be used, and another one in its place would hide the trouble.
    """
    return outcome is Outcome.ABSENT or (outcome is Outcome.REFUSED and even_if_refused)


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of a list."""

    name: str
    """`forwarded`, `token` or `key`."""
    even_if_refused: bool = False
    """The next one may follow where this one is refused (`token?`)."""


NAMES = ("forwarded", "token", "key")
"""Credentials that a list may name."""
Lists = tuple[tuple[str, tuple[Choice, ...]], ...]
"""Targets, or EVERY_TARGET, and what is tried for each, in this order."""
DEFAULT = (Choice("key"),)
"""What is tried where nothing is said."""


def parse(text: str) -> Lists:
    """The lists in a text such as `token,key item=forwarded?,key`.

    Raises:
        ValueError: all that is wrong with it, one mistake a line.
    """
    lists: dict[str, tuple[Choice, ...]] = {}
    mistakes: list[str] = []
    for word in text.split():
        target, _, names = word.rpartition("=")
        where = target or "the list for every target"
        if target in lists:
            mistakes.append(f"{where} is given twice")
        choices = tuple(Choice(name.removesuffix("?"), name.endswith("?")) for name in names.split(","))
        mistakes += [
            f"{where} names {one.name!r}: give some of {', '.join(NAMES)}" for one in choices if one.name not in NAMES
        ]
        if len({one.name for one in choices}) < len(choices):
            mistakes.append(f"{where} names a credential twice")
        if choices[-1].even_if_refused:
            mistakes.append(f"{where}: nothing follows the last one, so it has no `?`")
        lists[target] = choices
    if mistakes:
        raise ValueError("\n".join(mistakes))
    return tuple(lists.items())


def for_target(lists: Lists, target: str) -> tuple[Choice, ...]:
    """What is tried for a target."""
    found = dict(lists)
    return found.get(target) or found.get(EVERY_TARGET) or DEFAULT
