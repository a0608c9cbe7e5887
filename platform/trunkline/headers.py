"""Names of the metadata that travels with a call."""

from __future__ import annotations

import re

AUTHORIZATION = "authorization"
"""`Bearer <token>`: the sender's own token (RFC 6750)."""
CALLER = "trunk-caller"
"""Token of the user or terminal a service works for, unchanged over every hop. From services only."""
TENANT = "trunk-tenant"
"""Tenant of work that has no caller (consumers, jobs). From services only."""
IDEMPOTENCY_KEY = "idempotency-key"
"""Names one logical call, so that a repeat of it has no second effect."""
REQUEST_ID = "x-request-id"
"""One id for everything that follows from one request; for logs."""
PREVIOUS_ATTEMPTS = "grpc-previous-rpc-attempts"
"""How many attempts came before this one (gRFC A6); absent on the first."""
PUSHBACK_MS = "grpc-retry-pushback-ms"
"""Trailer: milliseconds to wait before the next attempt; negative or unreadable means none (gRFC A6)."""
RETRY_EXHAUSTED = "trunk-retry-exhausted"
"""Trailer: a lower hop has retried this failure to the end already."""
REPLAYED = "trunk-replayed"
"""Trailer: the answer is the stored one of an earlier call with the same key."""
STALE_AGE_MS = "trunk-stale-age-ms"
"""Trailer that our own client adds: the answer is an old one, given because the server could not be had; its age."""
TRACEPARENT = "traceparent"
"""Trace that the call belongs to (W3C Trace Context)."""
TRACESTATE = "tracestate"
"""What tracing systems add to it (W3C Trace Context)."""
STATUS_DETAILS = "grpc-status-details-bin"
"""Trailer: the serialized google.rpc.Status."""

_VISIBLE = re.compile(r"[\x21-\x7e]{1,128}").fullmatch


def is_plain(value: object) -> bool:
    """Whether it is 1 to 128 visible ASCII characters, as ids and keys in metadata are."""
    return isinstance(value, str) and _VISIBLE(value) is not None
