"""Methods to try overrides on: those of an item service that is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trunk.testing.v1 import ping_service_pb2  # noqa: F401 - importing it loads its contracts
from trunkline.method import Access, Method, method_of

ITEM = "pos.item.v1.ItemService"
GET_ITEM = f"{ITEM}/GetItem"


def method(**changes: Any) -> Method:
    """A read of the item service, with a cache and hedging; deadline 5 s, at most 50 s; anybody may call it."""
    cached = replace(method_of("/trunk.testing.v1.PolicyService/Cached"), path=f"/{GET_ITEM}", service=ITEM)
    return replace(cached, **({"hedge_delay_s": 0.05} | changes))


PLAIN: dict[str, Any] = {
    "cache_ttl_s": 0.0, "stale_if_error_s": 0.0, "invalidated_by": frozenset(), "hedge_delay_s": 0.0
}  # fmt: skip
"""What a contract without a cache and hedging says."""

SCOPED = method(access=Access.SCOPES, scopes=frozenset({"shop.read", "till"}))
AUTHENTICATED = method(access=Access.AUTHENTICATED)
SERVICE = method(access=Access.SERVICE)
