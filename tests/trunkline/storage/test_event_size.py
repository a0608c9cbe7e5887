"""Events that are too long are refused where they are made: nobody downstream could be asked to carry them."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message
from trunkline.errors import ServiceError
from trunkline.storage import Database, Transaction, UnitOfWork
from trunkline.storage.outbox import EVENT_LIMIT_BYTES

from tests.trunkline.storage.bench import Added, call, insert, names, numbers
from tests.trunkline.storage.kinds import BOTH

KINDS = BOTH
OVERHEAD = 1024
"""More than an envelope takes beside its payload."""


def text(length: int) -> str:
    """A text of a length."""
    return "x" * length


async def publish(unit: UnitOfWork, text: str) -> None:
    """One effect and its event."""

    def work(transaction: Transaction) -> Message:
        insert(f"of {len(text)}")(transaction.connection)
        message = Added(text=text)
        transaction.publish(message, key="t/s/1", subject="s", tenant_id="t")
        return message

    with call():
        await unit.run(work)


async def test_an_event_that_is_too_long_undoes_its_unit(database: Database, unit: UnitOfWork):
    """E23: INVALID_ARGUMENT, with type and both sizes; no effect, row or number is kept, and the next goes on."""
    with pytest.raises(ServiceError) as refused:
        await publish(unit, text(EVENT_LIMIT_BYTES))
    error = refused.value
    assert (error.code, error.reason, error.domain) == (grpc.StatusCode.INVALID_ARGUMENT, "EVENT_TOO_LARGE", "trunk")
    assert error.metadata["type"] == "storage.bench.Added"
    assert int(error.metadata["bytes"]) > int(error.metadata["limit_bytes"]) == EVENT_LIMIT_BYTES
    await publish(unit, text(3))
    assert await database.read(names) == ["of 3"]
    assert await database.read(numbers) == [1]


async def test_an_event_just_below_the_limit_is_kept(database: Database, unit: UnitOfWork):
    """E23: the limit is what it says: an event that is nearly as long passes."""
    await publish(unit, text(EVENT_LIMIT_BYTES - OVERHEAD))
    assert await database.read(numbers) == [1]


@pytest.mark.parametrize(("length", "passes"), [(EVENT_LIMIT_BYTES // 2 - 64, True), (EVENT_LIMIT_BYTES // 2, False)])
async def test_what_grows_is_refused_in_time(database: Database, unit: UnitOfWork, length: int, *, passes: bool):
    """E23: of what is published later, half the length is the most, so that its end can always be published."""

    def work(transaction: Transaction) -> Message:
        insert("one")(transaction.connection)
        message = Added(text=text(length))
        transaction.foresee(message)
        return message

    with call():
        if passes:
            await unit.run(work)
        else:
            with pytest.raises(ServiceError, match="EVENT_TOO_LARGE"):
                await unit.run(work)
    assert await database.read(names) == ["one"] * passes
    assert await database.read(numbers) == []
