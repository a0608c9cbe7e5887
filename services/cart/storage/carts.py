"""Carts in the database: the truth. Every function runs inside the caller's transaction."""

from __future__ import annotations

import json

import sqlalchemy as sa

from services.cart.domain.cart import Cart, check_owner
from services.cart.domain.document import from_document, to_document
from services.cart.storage.tables import CART
from services.kernel.failure import NotFound
from services.kernel.ids import TerminalId

# Built once: a statement made for every call costs more than running it.
_MINE = (CART.c.tenant_id == sa.bindparam("_tenant"), CART.c.cart_id == sa.bindparam("_cart"))
_SELECT = sa.select(CART.c.document).where(*_MINE)
_INSERT = sa.insert(CART)
_UPDATE = sa.update(CART).where(*_MINE).values(finished=sa.bindparam("_finished"), document=sa.bindparam("_document"))


def get(connection: sa.Connection, terminal_id: TerminalId, cart_id: str) -> Cart:
    """The cart of this terminal; NotFound / CART_NOT_FOUND to any other."""
    document = connection.scalar(_SELECT, {"_tenant": terminal_id.tenant_id, "_cart": cart_id})
    if document is None:
        raise NotFound("CART_NOT_FOUND", "the terminal has no such cart", cart_id=cart_id)
    cart = from_document(json.loads(document))
    check_owner(cart, terminal_id)
    return cart


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
    }
    connection.execute(_INSERT, values)


def replace(connection: sa.Connection, cart: Cart) -> None:
    """Writes a cart after a change."""
    values = {"_finished": cart.state.finished, "_document": _encode(cart)}
    connection.execute(_UPDATE, {"_tenant": cart.terminal_id.tenant_id, "_cart": cart.cart_id, **values})


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


def _encode(cart: Cart) -> str:
    return json.dumps(to_document(cart), ensure_ascii=False, separators=(",", ":"))
