"""Who calls the services in tests, and how their refusals and repeats are checked."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest
from google.protobuf.message import Message
from trunkline import headers
from trunkline.auth.tokens import Claims
from trunkline.errors import ServiceError
from trunkline.testing.local import Caller, LocalSystem

Refusal = tuple[str, str, dict[str, str]]
"""Status, domain and reason, and metadata of a refused call."""


def admin(system: LocalSystem, tenant_id: str = "acme", currency_code: str = "JPY") -> Caller:
    """The back office of a tenant."""
    scopes = frozenset({"shop.read", "shop.write"})
    return system.caller(
        Claims(
            kind="user",
            subject=f"{tenant_id}-admin",
            credential_id=f"{tenant_id}-admin",
            tenant_id=tenant_id,
            currency_code=currency_code,
            scopes=scopes,
        )
    )


def till(system: LocalSystem, terminal_no: int = 1, store_code: str = "0001", tenant_id: str = "acme") -> Caller:
    """A terminal of a tenant's store; the tenant's currency is JPY."""
    name = f"{tenant_id}-{store_code}-{terminal_no}"
    return system.caller(
        Claims(
            kind="terminal",
            subject=name,
            credential_id=name,
            tenant_id=tenant_id,
            currency_code="JPY",
            scopes=frozenset({"till"}),
            store_code=store_code,
            terminal_no=terminal_no,
        )
    )


def service(system: LocalSystem, name: str = "cart") -> Caller:
    """Another service of the system."""
    return system.caller(Claims(kind="service", subject=name, credential_id=name))


def key(value: str) -> tuple[tuple[str, str], ...]:
    """Metadata that names a call, so that a second one is a repeat of it."""
    return ((headers.IDEMPOTENCY_KEY, value),)


async def refusal(call: Awaitable[Any]) -> Refusal:
    """What a call is refused with; the test fails if it is not."""
    with pytest.raises(ServiceError) as caught:
        await call
    error = caught.value
    return error.code.name, f"{error.domain}/{error.reason}", dict(error.metadata)


def send(stub: Any, request: Message, **options: Any) -> Any:
    """Calls the rpc that the request belongs to."""
    return getattr(stub, type(request).__name__.removesuffix("Request"))(request, **options)


async def assert_replayed(stub: Any, request: Message, other: Message) -> Any:
    """A repeat of request gets the first answer, byte for byte, and its key refuses another request."""
    first = await send(stub, request, metadata=key("once"))
    repeat = send(stub, request, metadata=key("once"))
    assert (await repeat).SerializeToString() == first.SerializeToString()
    assert headers.REPLAYED in dict(await repeat.trailing_metadata())
    reused: Refusal = ("INVALID_ARGUMENT", "trunk/IDEMPOTENCY_KEY_REUSED", {})
    assert await refusal(send(stub, other, metadata=key("once"))) == reused
    return first
