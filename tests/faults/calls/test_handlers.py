"""Handlers that do what no handler should: the caller gets one right answer, and no effect is left."""

from __future__ import annotations

import json

import pytest
from trunkline import headers

from tests.faults.calls.calling import calling, failure
from tests.faults.calls.instance import Instance
from tests.faults.calls.servicers import SWALLOW
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-calls")
SECRET = "hunter2-and-4111111111111111"
TEXT = f"could not connect to postgres://pos:{SECRET}@db.internal:5432/pos: INSERT INTO card VALUES ('{SECRET}')"


async def test_a_handler_swallows_its_abort(server: Instance, key: str):
    """B11: a handler that catches its own abort and writes on: the caller gets the abort, and no row is there."""
    async with calling(server.target) as caller:
        failed = await failure(caller.add(key, metadata=((SWALLOW, "1"),)))
        assert failed.error.code.name == "NOT_FOUND"
        assert failed.error.message == "nothing is there"
        assert (server.effects(key), server.stored(key)) == ([], [])
        assert server.journal.count(key, "committed") == 0
        await caller.add(key)
        assert server.effects(key) == [5]
        await caller.is_well()


async def test_a_handler_tells_too_much(server: Instance, key: str):
    """B12: an exception with an address, a password and SQL leaves as INTERNAL, a fixed text and an id; the log has the
    rest under that id.
    """
    async with calling(server.target) as caller:
        call = caller.ping(key, raise_text=TEXT)
        failed = await failure(call)
        assert failed.told == ("INTERNAL", "INTERNAL_ERROR")
        assert failed.error.message == "internal error"
        (error_id,) = failed.error.metadata.values()
        sent = repr(await call.trailing_metadata()) + str(failed.error) + str(await call.details())
        assert headers.STATUS_DETAILS in sent
        assert not [one for one in (SECRET, "postgres", "INSERT", "ValueError") if one in sent]
        await until(lambda: error_id in server.log, "the log has it: a thread writes it")
        lines = [json.loads(line) for line in server.log.splitlines() if error_id in line]
        assert [(line["event"], "ValueError" in line["exception"]) for line in lines] == [("unknown failure", True)]
        await caller.is_well()
    assert server.effects(key) == []
