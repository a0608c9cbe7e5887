"""The call that is being served: who makes it, for whom, and how long it may take.

A handler, and whatever it awaits, finds it by `current_call()`; the client chain reads it to pass on
the deadline, the caller, the tenant and the request id.
"""

from __future__ import annotations

import math
import random
from contextvars import ContextVar
from dataclasses import dataclass, field

import grpc

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError, platform_error


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose token was verified."""

    kind: str
    """`user`, `terminal` or `service`."""
    subject: str
    """The token's subject: an API key's or a service's name."""
    tenant_id: str = ""
    """Tenant it belongs to; empty for services."""
    scopes: frozenset[str] = frozenset()
    """What it may do."""
    store_code: str = ""
    """Store of a terminal."""
    terminal_no: int = 0
    """Number of a terminal in its store; 0 for everybody else."""
    currency_code: str = ""
    """Currency of the tenant (claim `cur`); empty for services. A tenant never changes it."""
    credential_id: str = ""
    """Credential that the token was exchanged for (claim `cred`)."""
    token: str = field(default="", repr=False)
    """The token itself, to be forwarded."""
    expires_at: float = field(default=math.inf, repr=False, compare=False)
    """Instant (clock.monotonic) at which it expires, by this process's clock and without leeway."""


@dataclass(slots=True)
class IdempotencyContext:
    """What makes a repeat of this call recognisable, and the answer once it is committed."""

    tenant_id: str
    """Tenant, or empty."""
    method: str
    """Full path of the rpc."""
    key: str
    """The caller's idempotency key."""
    fingerprint: bytes
    """HMAC of the canonical request."""
    secret: bool
    """The answer holds a field marked `debug_redact`."""
    repeat: bool = False
    """The call says of itself that it is a repeat: an answer may be there."""
    answer: bytes | None = None
    """Serialized answer, as stored; set by the unit of work after its commit."""


def new_request_id() -> str:
    """A request id nobody else has: 32 hex digits, so that it can be a trace id too. No secret, so plain dice do."""
    return f"{random.getrandbits(128):032x}"


@dataclass(slots=True)
class InboundCall:
    """One call while it is served."""

    method: str
    """Full path of the rpc, `/pos.item.v1.ItemService/GetItem`; a name of ours for jobs."""
    request_id: str = field(default_factory=new_request_id)
    """One id for everything that follows from one request."""
    deadline: float | None = None
    """Instant (clock.monotonic) until which the answer is of use; None for jobs."""
    clock: Clock = SYSTEM_CLOCK
    """What its deadline is told by."""
    sender: Principal | None = None
    """Who sent the call: the token in `authorization`."""
    caller: Principal | None = None
    """For whom it is made: the forwarded token if there is one, else the sender unless that is a service."""
    tenant_id: str = ""
    """Tenant the call belongs to; empty where it belongs to none."""
    idempotency: IdempotencyContext | None = None
    """Set for a mutating call that carries a key."""
    idempotency_key: str = ""
    """The caller's key, also where nothing is stored under it: the keys of its own calls follow from it."""
    failure: ServiceError | None = None
    """What its handler has ended it with, though it may still run: nothing it begins from then on is done."""
    trace: str = ""
    """W3C `traceparent` that its own calls continue; empty outside a trace."""

    @property
    def principal(self) -> Principal | None:
        """Whom access is judged by: the caller if there is one, else the sender."""
        return self.caller or self.sender


_current: ContextVar[InboundCall | None] = ContextVar("trunkline_current_call", default=None)


def current_call() -> InboundCall | None:
    """The call being served here, or None outside one."""
    return _current.get()


def became_current(call: InboundCall) -> None:
    """Makes call the current one until the task ends: for a task that serves this one call only."""
    _current.set(call)


class serving:  # noqa: N801 - it is used like a function; as a class it costs every event half as much
    """Makes a call the current one, for the length of a block."""

    __slots__ = ("_call", "_token")

    def __init__(self, call: InboundCall) -> None:
        self._call = call

    def __enter__(self) -> InboundCall:
        self._token = _current.set(self._call)
        return self._call

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def acting(tenant_id: str, *, method: str = "job", request_id: str = "", trace: str = "") -> InboundCall:
    """Work without a caller (a consumer, a job): the service acts as itself and names the tenant."""
    return InboundCall(method, request_id or new_request_id(), tenant_id=tenant_id, trace=trace)


def acting_for(tenant_id: str, *, method: str = "job", request_id: str = "", trace: str = "") -> serving:
    """Such work, for the length of a block."""
    return serving(acting(tenant_id, method=method, request_id=request_id, trace=trace))


def require_tenant() -> str:
    """Tenant of the current call.

    Raises:
        ServiceError: PERMISSION_DENIED / ACCESS_DENIED where the call belongs to none.
    """
    call = current_call()
    if call is None or not call.tenant_id:
        raise platform_error(grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED", "the call belongs to no tenant")
    return call.tenant_id


def require_terminal() -> Principal:
    """The terminal the current call is made by.

    Raises:
        ServiceError: PERMISSION_DENIED / ACCESS_DENIED where the caller is no terminal.
    """
    call = current_call()
    if call is None or call.caller is None or call.caller.kind != "terminal":
        raise platform_error(grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED", "only a terminal may do this")
    return call.caller
