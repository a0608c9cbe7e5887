"""What the sweep calls: each rpc with the things of another tenant, and the same with things that do not exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.message import Message

from tests.faults.isolation.contract import Rpc
from tests.faults.isolation.filling import Names, filled, named, unknown
from tests.faults.isolation.names import TEXTS
from tests.faults.isolation.rows import HOW_TO_ADD, READ, ROWS, WHAT_TO_FILL, Row


@dataclass(frozen=True, slots=True)
class Case:
    """Two requests that differ in what they name, and must not differ in what comes of them."""

    rpc: Rpc
    """What is called."""
    foreign: frozenset[str]
    """Names that are another tenant's in the one, and nobody's in the other; all others are the caller's own."""
    whole: bool
    """Whether nothing in it is the caller's own."""
    one: Names
    """Names in the one."""
    other: Names
    """Names in the other."""

    def requests(self) -> tuple[Message, Message]:
        """The two requests."""
        row = ROWS[self.rpc.name]
        return filled(self.rpc, self.one, row.fields), filled(self.rpc, self.other, row.fields)

    def __str__(self) -> str:
        return f"{self.rpc.name} at {self.rpc.host} with another's {', '.join(sorted(self.foreign)) or 'nothing'}"


def uncovered(rpcs: Iterable[Rpc], names: Names, rows: Mapping[str, Row] = ROWS) -> list[str]:
    """What the sweep cannot look at, and what to do about it; rows of rpcs that are not served any more too."""
    found = [HOW_TO_ADD.format(name=rpc.name) for rpc in rpcs if rpc.name not in rows]
    for rpc in rpcs:
        fields = unknown(rpc, names, rows[rpc.name].fields) if rpc.name in rows else set()
        if fields:
            found.append(WHAT_TO_FILL.format(name=rpc.name, fields=", ".join(sorted(fields))))
    served = {rpc.name for rpc in rpcs}
    return found + [f"{name} is served nowhere: its row in rows.py can go" for name in rows.keys() - served]


def in_turn(rpcs: Iterable[Rpc], *, backwards: bool = False) -> list[Rpc]:
    """Those that have a row: reads first, then as the rows say; those of one turn in the order of the rows, or back."""
    step = -1 if backwards else 1
    order = {name: place * step for place, name in enumerate(ROWS)}
    known = (rpc for rpc in rpcs if rpc.name in ROWS)
    return sorted(known, key=lambda rpc: (READ if rpc.reads else ROWS[rpc.name].turn, order[rpc.name]))


def cases(rpcs: Iterable[Rpc], own: Names, foreign: Names, ghosts: Names) -> Iterator[Case]:
    """All names foreign at once, then each alone among the caller's own; what names nothing is called as it is."""
    for rpc in rpcs:
        varied = named(rpc, foreign, ROWS[rpc.name].fields) - set(TEXTS)
        yield _case(rpc, varied, True, own, foreign, ghosts)
        for name in sorted(varied) if len(varied) > 1 and varied <= own.keys() else ():
            if foreign[name] != own[name]:
                yield _case(rpc, {name}, False, own, foreign, ghosts)


def _case(rpc: Rpc, varied: set[str], whole: bool, own: Names, foreign: Names, ghosts: Names) -> Case:
    one = {**own, **{name: foreign[name] for name in varied}}
    other = {**own, **{name: ghosts[name] for name in varied}}
    return Case(rpc, frozenset(varied), whole, one, other)
