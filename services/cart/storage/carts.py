"""Carts in the database: the truth. Every function runs inside the caller's transaction."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from services.cart.domain.cart import Cart, check_owner
from services.cart.domain.document import from_document, to_document
from services.cart.storage.tables import CART
from services.kernel.failure import Conflict, NotFound
from services.kernel.ids import TerminalId

# Built once: a statement made for every call costs more than running it.
_MINE = (CART.c.tenant_id == sa.bindparam("_tenant"), CART.c.cart_id == sa.bindparam("_cart"))
_SELECT = sa.select(CART.c.document, CART.c.version).where(*_MINE)
_LOOK = sa.select(
    CART.c.store_code,
    CART.c.terminal_no,
    CART.c.version,
    sa.case((sa.func.length(CART.c.document) < sa.bindparam("_long"), CART.c.document), else_=None).label("document"),
).where(*_MINE)
_INSERT = sa.insert(CART)
_UPDATE = (
    sa.update(CART)
    .where(*_MINE, CART.c.version == sa.bindparam("_read"))
    .values(finished=sa.bindparam("_finished"), document=sa.bindparam("_document"), version=sa.bindparam("_version"))
)


@dataclass(frozen=True, slots=True)
class StoredCart:
    """A cart as it was read."""

    cart: Cart
    """The cart."""
    version: int
    """Of what was read: no other document, of this cart or of one in a restored database, has it."""


def get(connection: sa.Connection, terminal_id: TerminalId, cart_id: str) -> StoredCart:
    """The cart of this terminal; NotFound / CART_NOT_FOUND to any other."""
    row = connection.execute(_SELECT, {"_tenant": terminal_id.tenant_id, "_cart": cart_id}).first()
    if row is None:
        raise _not_found(cart_id)
    cart = from_document(json.loads(row.document))
    check_owner(cart, terminal_id)
    return StoredCart(cart, row.version)


def look(connection: sa.Connection, terminal_id: TerminalId, cart_id: str, long: int) -> tuple[int, Cart | None]:
    """The version of a cart of this terminal, and the cart itself where its document is shorter than long."""
    row = connection.execute(_LOOK, {"_tenant": terminal_id.tenant_id, "_cart": cart_id, "_long": long}).first()
    if row is None or (row.store_code, row.terminal_no) != (terminal_id.store_code, terminal_id.terminal_no):
        raise _not_found(cart_id)
    return row.version, None if row.document is None else from_document(json.loads(row.document))


def add(connection: sa.Connection, cart: Cart) -> None:
    """Adds a new cart."""
    terminal = cart.terminal_id
    values = {
        "tenant_id": terminal.tenant_id,
        "cart_id": cart.cart_id,
        "store_code": terminal.store_code,
        "terminal_no": terminal.terminal_no,
        "business_counter": cart.opening.business_counter,
        "finished": False,
        "document": _encode(cart),
        "version": _drawn(),
    }
    connection.execute(_INSERT, values)


def replace(connection: sa.Connection, cart: Cart, read: int) -> None:
    """Writes a cart in the place of the version that was read; Conflict / CART_CHANGED if that is gone."""
    values = {"_finished": cart.state.finished, "_document": _encode(cart), "_read": read, "_version": _drawn()}
    changed = connection.execute(_UPDATE, {"_tenant": cart.terminal_id.tenant_id, "_cart": cart.cart_id, **values})
    if changed.rowcount != 1:
        raise Conflict("CART_CHANGED", "another call has changed the cart meanwhile", cart_id=cart.cart_id)


def unfinished(connection: sa.Connection, terminal_id: TerminalId, business_counter: int) -> list[str]:
    """Ids of the carts of an opening that are neither completed nor cancelled."""
    query = sa.select(CART.c.cart_id).where(
        CART.c.tenant_id == terminal_id.tenant_id,
        CART.c.store_code == terminal_id.store_code,
        CART.c.terminal_no == terminal_id.terminal_no,
        CART.c.business_counter == business_counter,
        CART.c.finished == sa.false(),
    )
    return list(connection.scalars(query.order_by(CART.c.cart_id)))


def _not_found(cart_id: str) -> NotFound:
    return NotFound("CART_NOT_FOUND", "the terminal has no such cart", cart_id=cart_id)


def _drawn() -> int:
    # Not counted: after a restore a count would give two documents one number.
    return secrets.randbits(63)


def _encode(cart: Cart) -> str:
    return json.dumps(to_document(cart), ensure_ascii=False, separators=(",", ":"))
