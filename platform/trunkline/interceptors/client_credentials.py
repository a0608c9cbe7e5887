"""The link of the client chain that sends a token with every attempt, and says for whom the call is made."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from trunkline import headers
from trunkline.auth.credential_chain import CredentialChain, Link, Picked
from trunkline.errors import PLATFORM_DOMAIN, ServiceError, platform_error
from trunkline.interceptors.chain import Gate, Policy, Proceed
from trunkline.interceptors.client_call import ClientCall, Reply
from trunkline.interceptors.client_policies import expired
from trunkline.interceptors.peer import Peer
from trunkline.method import Access, Method
from trunkline.policies.credentials import Outcome
from trunkline.telemetry.logs import client_logger
from trunkline.telemetry.metrics import METRICS

ONLY = "credential"
"""Name of a credential that stands alone and has none of its own."""
_log = client_logger("trunkline.client")


def credentials(method: Method, peer: Peer) -> Gate[ClientCall] | Policy[ClientCall, Any] | None:
    """Sends a fresh token with every attempt, and for whom the call is made."""
    if method.access is Access.PUBLIC:
        return None
    if isinstance(peer.credential, CredentialChain):
        return _chosen(peer, peer.credential)
    return _only(peer)


def _only(peer: Peer) -> Gate[ClientCall]:
    credential, used = peer.credential, METRICS.credential(peer.name, ONLY)
    if credential is None:

        def check_none(_: ClientCall) -> None:
            used[Outcome.ABSENT] += 1
            raise platform_error(
                grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING", "this process has no credential to call others with"
            )

        return Gate(check_none)
    chain = CredentialChain([Link(ONLY, credential)])
    at_hand = getattr(credential, "token_at_hand", None)

    async def check(call: ClientCall) -> None:
        try:
            token = at_hand() if at_hand is not None else None
        except ServiceError:
            token = None  # told and counted where it is asked for again
        if token is None:
            token = (await _pick(call, peer, chain)).token
        else:
            used[Outcome.USED] += 1
        _send(call, token)

    return Gate(check)


def _chosen(peer: Peer, chain: CredentialChain) -> Policy[ClientCall, Any]:
    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        picked = await _pick(call, peer, chain)
        alone = not _send(call, picked.token)

        def ended(error: ServiceError | None, _: bool = True) -> None:
            # Where two tokens were sent, nobody says which one was refused.
            if alone and error is not None and _refused(error):
                chain.refused(picked)
                METRICS.credential(peer.name, picked.name)[Outcome.REFUSED] += 1
                _log.warning("credential refused by its peer", target=peer.name, credential=picked.name)

        try:
            reply = await proceed(call)
        except ServiceError as error:
            ended(error)
            raise
        if isinstance(reply, Reply):
            reply.on_end(ended)
        return reply

    return policy


async def _pick(call: ClientCall, peer: Peer, chain: CredentialChain) -> Picked:
    found: list[tuple[str, Outcome]] = []

    def told(name: str, outcome: Outcome) -> None:
        METRICS.credential(peer.name, name)[outcome] += 1
        found.append((name, outcome))

    try:
        async with asyncio.timeout(call.deadline - peer.clock.monotonic()):
            return await chain.pick(told)
    except TimeoutError:
        raise expired() from None
    except ServiceError as error:
        if call.inbound is None or error.code is not grpc.StatusCode.UNAUTHENTICATED:
            raise
        # Ours was refused, not the caller's: it must not be told that its own token is bad.
        raise platform_error(
            grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING", "this process's own credential was refused"
        ) from error
    finally:
        _tell(peer, found)


def _tell(peer: Peer, found: list[tuple[str, Outcome]]) -> None:
    """Says which credential is used and which were passed over, whenever that is another than before."""
    chosen = ", ".join(f"{name} {outcome}" for name, outcome in found)
    if chosen and chosen != peer.chosen:
        peer.chosen = chosen
        loud = any(outcome in {Outcome.REFUSED, Outcome.FAILED} for _, outcome in found)
        (_log.warning if loud else _log.info)("credential chosen", target=peer.name, tried=chosen)


def _send(call: ClientCall, token: str) -> bool:
    """Adds the headers; whether another token than ours goes with them."""
    call.attempt_metadata.append((headers.AUTHORIZATION, f"Bearer {token}"))
    inbound = call.inbound
    if inbound is None:
        return False
    if inbound.caller is not None:
        if inbound.caller.token != token:
            call.attempt_metadata.append((headers.CALLER, inbound.caller.token))
            return True
    elif inbound.tenant_id:
        call.attempt_metadata.append((headers.TENANT, inbound.tenant_id))
    return False


def _refused(error: ServiceError) -> bool:
    return (error.code, error.domain) == (grpc.StatusCode.UNAUTHENTICATED, PLATFORM_DOMAIN)
