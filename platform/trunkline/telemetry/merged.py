"""Counts of several processes as one: what counts up is added, what may fall is told of each. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

GAUGE = "gauge"
"""Kind of what is no sum: of two memories, or two states of a breaker, the sum says nothing."""


@dataclass(slots=True)
class Family:
    """A metric: its head, and its rows (name and labels, as written) with their values."""

    kind: str
    """counter, gauge, histogram."""
    head: str
    """Its HELP and TYPE lines."""
    rows: dict[str, float] = field(default_factory=dict)
    """In the order in which they were told first."""


class Merged:
    """Counts of workers, those that have ended among them: a counter never falls because somebody has died."""

    def __init__(self) -> None:
        self._past: dict[str, Family] = {}

    def keep(self, counts: bytes) -> None:
        """Keeps what one that has ended had counted."""
        _add(self._past, (family for family in _families(counts) if family[1].kind != GAUGE))

    def text(self, counts: Mapping[int, bytes]) -> bytes:
        """All of it, in Prometheus' text format; gauges have a label `worker`.

        Args:
            counts: worker → what it tells, in that format.
        """
        found = {name: Family(one.kind, one.head, dict(one.rows)) for name, one in self._past.items()}
        for worker, told in sorted(counts.items()):
            _add(found, ((name, _labelled(family, worker)) for name, family in _families(told)))
        return "".join(
            one.head + "".join(f"{row} {value!r}\n" for row, value in one.rows.items()) for one in found.values()
        ).encode()


def _add(found: dict[str, Family], families: Iterable[tuple[str, Family]]) -> None:
    for name, family in families:
        into = found.setdefault(name, Family(family.kind, family.head))
        for row, value in family.rows.items():
            into.rows[row] = into.rows.get(row, 0.0) + value


def _labelled(family: Family, worker: int) -> Family:
    if family.kind != GAUGE:
        return family
    rows = {_with(row, f'worker="{worker}"'): value for row, value in family.rows.items()}
    return Family(family.kind, family.head, rows)


def _with(row: str, label: str) -> str:
    if not row.endswith("}"):
        return f"{row}{{{label}}}"
    return f"{row[:-1]}{'' if row.endswith('{}') else ','}{label}}}"


def _families(counts: bytes) -> Iterable[tuple[str, Family]]:
    """Families of a text by name; each is told in one piece, after its HELP and TYPE."""
    about, name, family = "", "", Family("untyped", "")
    for line in counts.decode().split("\n"):
        if line.startswith("# HELP "):
            about = f"{line}\n"
        elif line.startswith("# TYPE "):
            if family.rows or family.head:
                yield name, family
            _, _, name, kind = line.split(" ")
            family = Family(kind, f"{about}{line}\n")
        elif line:
            row, _, value = line.rpartition(" ")
            family.rows[row] = float(value)
    if family.rows or family.head:
        yield name, family
