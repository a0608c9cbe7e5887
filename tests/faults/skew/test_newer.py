"""Newer publishers, today's consumers: recorded events, changed as a later release may change them."""

from __future__ import annotations

from typing import Any

import pytest
from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.events import Unreadable

from services.journal.storage.tables import ENTRY
from services.report.storage.tables import RECEIVED_CASH_MOVEMENT, RECEIVED_TRANSACTION
from tests.faults.skew.consuming import SERVICES, consuming
from tests.golden.recorded import releases

RELEASE = releases()[-1]
EACH = pytest.mark.parametrize("service", SERVICES)
NEW_FIELD = b"\xfa\x7f\x05later"
"""Field 2047, which no log has."""
KEEPS: dict[str, list[Any]] = {
    "report": [RECEIVED_TRANSACTION.c.log, RECEIVED_CASH_MOVEMENT.c.log],
    "journal": [ENTRY.c.payload],
    "stock": [],
}
"""Columns that keep an event's bytes."""
DIGESTS = {column.name for columns in KEEPS.values() for column in columns}


def without_bytes(rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Rows, but for what keeps bytes."""
    return sorted(
        f"{table} {[(name, value) for name, value in row.items() if name not in DIGESTS]}"
        for table, found in rows.items()
        for row in found
    )


def sales() -> list[Envelope]:
    """The recorded transactions of one terminal, in order."""
    found = [one for one in RELEASE.envelopes() if one.topic == "tranlog"]
    return [one for one in found if one.key == found[0].key]


def changed(one: Envelope, **fields: Any) -> Envelope:
    """An event whose payload says something else."""
    log = TransactionLog.FromString(one.payload)
    for name, value in fields.items():
        setattr(log, name, value)
    other = Envelope.FromString(one.SerializeToString())
    other.payload = log.SerializeToString()
    return other


@EACH
def test_a_new_field_changes_nothing_and_is_kept(service: str):
    """E24: a field that only the publisher knows: the effects are the same, and report and journal keep its bytes."""
    events = RELEASE.envelopes()
    for one in events:
        one.payload += NEW_FIELD
    with consuming(service) as consumer:
        consumer.receive(events)
        assert without_bytes(consumer.effects()) == without_bytes(RELEASE.effects(service))
        kept = [row[column.name] for column in KEEPS[service] for row in consumer.rows(column.table)]
    topics = {"report": {"tranlog", "cashlog"}, "journal": set(RELEASE.manifest["topics"]), "stock": set()}
    assert sorted(kept) == sorted(one.payload for one in events if one.topic in topics[service])


@EACH
def test_a_new_kind_of_transaction_is_not_guessed_at(service: str):
    """E24: a kind that no consumer knows: each says which, as what cannot be read, and has done nothing."""
    first = changed(sales()[0], kind=99)
    with consuming(service) as consumer:
        with pytest.raises(Unreadable, match=r"pos\.type\.v1\.TransactionKind 99 is not known"):
            consumer.receive([first])
        assert consumer.effects() == {name: [] for name in RELEASE.effects(service)}


@EACH
def test_a_new_kind_of_tender_stops_only_who_needs_it(service: str):
    """E24: report needs the kind of a tender; journal and stock do not, and apply the sale."""
    sale = next(one for one in sales() if TransactionLog.FromString(one.payload).payments)
    log = TransactionLog.FromString(sale.payload)
    log.payments[0].kind = 99  # type: ignore[assignment]  # of a later release
    sale.payload, sale.number = log.SerializeToString(), 1
    with consuming(service) as consumer:
        if service == "report":
            with pytest.raises(Unreadable, match="TenderKind 99"):
                consumer.receive([sale])
        else:
            assert len(consumer.receive([sale]).applied) == 1


@EACH
def test_a_new_type_is_set_aside_and_its_key_goes_on(service: str):
    """E24: a payload of a type that no release had: kept as it came, a hole in its place, and the next is applied."""
    events = sales()
    unheard = Envelope.FromString(events[0].SerializeToString())
    unheard.type = "pos.event.v2.TransactionLog"
    with consuming(service) as consumer:
        consumer.receive([unheard])
        assert len(consumer.receive([events[1]]).applied) == 1
        (letter,) = consumer.rows(consumer.platform.dead_letter)
        (hole,) = consumer.rows(consumer.platform.hole)
    assert (letter["reason"], letter["envelope"]) == ("UNKNOWN_TYPE", unheard.SerializeToString())
    assert "pos.event.v2.TransactionLog" in letter["error"]
    assert (hole["number"], hole["closed_time"]) == (1, None)
