"""The audit log: who was refused, and who made a call that its contract says to audit."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from trunkline.call import InboundCall

LOGGER = "trunkline.audit"
"""Field `logger` of every record."""
# Whatever the level of the log: an audit log that a setting can silence is none.
_wrapper: Any = structlog.make_filtering_bound_logger(logging.NOTSET)
_log: Any = structlog.wrap_logger(None, wrapper_class=_wrapper, logger_factory_args=(LOGGER,))


def write(event: str, **fields: Any) -> None:
    """Writes one record: `refused` or `called`."""
    _log.info(event, logger=LOGGER, **{name: value for name, value in fields.items() if value not in {None, ""}})


def who(inbound: InboundCall) -> dict[str, Any]:
    """Who calls, as far as it is known: the caller, and the service that sends the call for it."""
    principal, sender = inbound.principal, inbound.sender
    fields: dict[str, Any] = {}
    if principal is not None:
        fields = {"caller": principal.subject, "kind": principal.kind, "credential_id": principal.credential_id}
    if sender is not None and sender is not principal:
        fields |= {"sender": sender.subject, "sender_credential_id": sender.credential_id}
    if inbound.tenant_id:
        fields["tenant"] = inbound.tenant_id
    return fields
