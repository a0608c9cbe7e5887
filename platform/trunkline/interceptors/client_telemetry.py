"""Links of the client chain that count, trace and log: one round the call, one round every attempt."""

from __future__ import annotations

from typing import Any

from trunkline import headers
from trunkline.call import new_request_id
from trunkline.errors import ServiceError
from trunkline.interceptors.chain import Policy, Proceed
from trunkline.interceptors.client_call import ClientCall
from trunkline.interceptors.peer import Peer
from trunkline.method import Method
from trunkline.telemetry.logs import client_logger

ClientPolicy = Policy[ClientCall, Any]
_log = client_logger("trunkline.client")


def telemetry(method: Method, peer: Peer) -> ClientPolicy:
    """Counts the call, passes its request id on, and tells of failures."""

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        inbound = call.inbound
        call.metadata.append((headers.REQUEST_ID, inbound.request_id if inbound is not None else new_request_id()))
        try:
            return await proceed(call)
        except ServiceError as error:
            _log.debug(
                "call failed",
                peer=peer.name,
                peer_method=method.path,
                code=error.code.name,
                reason=error.reason,
                attempts=call.attempts,
            )
            raise

    return policy


def attempts(method: Method, peer: Peer) -> ClientPolicy:
    """Counts every attempt."""
    told = peer.told(method.path)

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        told.attempt_started()
        return await proceed(call)

    return policy
