"""The books themselves: kept by nobody but the services, and read so that nothing wrong in them escapes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.ledger import SALE, Ledger, Transaction
from tests.faults.chaos.auditing import unsafe
from tests.shop.books import complaints, opened
from tests.shop.effects import wrong_effects
from tests.shop.healed import healed
from tests.shop.logs import log_complaints
from tests.shop.running import RunningShop

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
A_SUM = "(SELECT max(rowid) FROM figure WHERE name = 'TAX')"
A_SALE = "(SELECT max(rowid) FROM inbox WHERE topic = 'tranlog')"
WITH_EVENTS = ("cart", "terminal", "report", "journal", "stock")
WRONG_EVENTS = {
    "has lost": ("report", f"DELETE FROM inbox WHERE rowid = {A_SALE}"),
    "has another": ("stock", "UPDATE inbox SET event_id = 'x' WHERE rowid = 1"),
    "has what nobody sent": ("journal", "UPDATE inbox SET number = 999 WHERE rowid = 1"),
    "has applied": ("stock", "UPDATE inbox SET rowid = 99999 WHERE rowid = 1"),
    "stands elsewhere": ("report", "UPDATE consumer_position SET number = 999 WHERE rowid = 1"),
    "have holes": ("cart", "DELETE FROM outbox WHERE number = 1 AND key = 'demo/0001/1'"),
    "were given out": ("cart", "UPDATE outbox_number SET number = number + 1 WHERE rowid = 1"),
    "is unconfirmed": ("cart", "UPDATE outbox SET confirmed = 0 WHERE number = 1 AND key = 'demo/0001/1'"),
    "has a hole": ("stock", "INSERT INTO hole VALUES ('stock', 'tranlog', 'k', 1, 'MISSING', 0, NULL)"),
}
"""Complaint, and what is done to which database to make it."""
WRONG_EFFECTS = {
    "transactions of cart": ("cart", "DELETE FROM transaction_record WHERE rowid = 1"),
    "last numbers": ("cart", "UPDATE terminal_number SET transaction_no = transaction_no + 1 WHERE rowid = 1"),
    "cash movements": ("terminal", "UPDATE cash_movement SET amount = amount + 1 WHERE rowid = 1"),
    "entries of the journal": ("journal", "DELETE FROM entry WHERE rowid = 1"),
    "figures of report": ("report", f"UPDATE figure SET amount = amount + 1 WHERE rowid = {A_SUM}"),
    "stock of": ("stock", "UPDATE stock SET quantity = quantity - 1 WHERE rowid = 1"),
    "does not follow": ("stock", "UPDATE movement SET change = change + 1 WHERE movement_no = 1 AND rowid = 1"),
}
"""As before."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def copies(shop: RunningShop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Databases of a shop that is whole, to be spoilt."""
    await healed(shop)
    folder = tmp_path_factory.mktemp("copies")
    for service in WITH_EVENTS:
        (folder / service).mkdir()
        with opened(shop.var_dir, service) as there, closing(sqlite3.connect(_file(folder, service))) as here:
            there.backup(here)
    return folder


@contextmanager
def spoilt(folder: Path, service: str, statement: str) -> Iterator[None]:
    """One statement is done to a database during a block, and undone after it."""
    whole = _file(folder, service).read_bytes()
    with closing(sqlite3.connect(_file(folder, service))) as connection, connection:
        assert connection.execute(statement).rowcount == 1
    yield
    _file(folder, service).write_bytes(whole)


@pytest.mark.parametrize("complaint", WRONG_EVENTS)
def test_a_wrong_event_is_noticed(copies: Path, complaint: str):
    """What is lost, doubled, out of order, unconfirmed or passed over shows in the ledger."""
    assert complaints(copies) == []
    with spoilt(copies, *WRONG_EVENTS[complaint]):
        assert complaint in "\n".join(complaints(copies))


@pytest.mark.parametrize("complaint", WRONG_EFFECTS)
def test_a_wrong_effect_is_noticed(copies: Path, complaint: str):
    """An effect that is missing, doubled or other than its event shows in the recount."""
    assert wrong_effects(copies) == []
    with spoilt(copies, *WRONG_EFFECTS[complaint]):
        assert complaint in "\n".join(wrong_effects(copies))


@pytest.mark.parametrize("complaint", ["has another", "has what nobody sent", "has applied"])
def test_a_wrong_event_is_noticed_at_any_time(copies: Path, complaint: str):
    """What no event that is still on its way can explain shows while others are."""
    assert unsafe(copies, []) == []
    with spoilt(copies, *WRONG_EVENTS[complaint]):
        assert complaint in "\n".join(unsafe(copies, []))


@pytest.mark.parametrize("complaint", ["entries of the journal", "figures of report", "stock of", "does not follow"])
def test_a_wrong_effect_is_noticed_at_any_time(copies: Path, complaint: str):
    """So does an effect that is missing, doubled or other than that of its event."""
    with spoilt(copies, *WRONG_EFFECTS[complaint]):
        assert complaint in "\n".join(unsafe(copies, []))


def test_an_effect_without_its_inbox_row_is_noticed_at_any_time(copies: Path):
    """It would be had again; an event that is not there at all is only late."""
    with spoilt(copies, *WRONG_EVENTS["has lost"]):
        assert "figures of report" in "\n".join(unsafe(copies, []))


def test_a_sale_that_cart_has_not_is_noticed_at_any_time(copies: Path):
    """What a till was answered is there, once, as it was answered."""
    answered = Transaction(kind=SALE, terminal_no=1, transaction_no=99_999)
    (complaint,) = unsafe(copies, [Ledger([answered])])
    assert "cart has it 0 times" in complaint


def test_what_must_not_be_logged_is_noticed(shop: RunningShop):
    """A traceback, a PIN, a credential and a token are found wherever they stand."""
    folder = shop.var_dir / "run" / "credentials"
    secrets = [(folder / name).read_text().strip() for name in ("pin-s1", "cart", "admin")]
    for text in ("x\nTraceback (most recent call last)\n", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0000", *secrets):
        assert log_complaints(f"something {text} more", shop.var_dir)
    assert log_complaints("nothing", shop.var_dir) == []


def _file(folder: Path, service: str) -> Path:
    return folder / service / f"{service}.db"
