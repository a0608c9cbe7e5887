"""Tokens that were verified before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trunkline.auth.revocations import RevocationPoller
from trunkline.auth.verifier import LEEWAY_S, TokenVerifier
from trunkline.errors import ServiceError
from trunkline.node import Node
from trunkline.settings import PlatformSettings, ServiceSettings

from tests.trunkline.auth.identity_system import AUDIENCE, ISSUER, USER, public_key


async def test_verified_token_is_known_without_waiting(system):
    """The second time a token needs no signature check and no await."""
    token = system.token(USER)
    assert system.verifier.cached(token) is None
    principal = await system.verifier.verify(token)
    assert system.verifier.cached(token) is principal
    assert await system.verifier.verify(token) is principal


async def test_verified_token_is_forgotten_when_it_expires(system):
    """Being remembered adds nothing to a token's life."""
    token = system.token(USER)
    await system.verifier.verify(token)
    system.clock.advance(900 + LEEWAY_S)
    assert system.verifier.cached(token) is None
    with pytest.raises(ServiceError):
        await system.verifier.verify(token)


async def test_refused_token_is_not_remembered(system):
    """A refusal is not the answer for ever: the same token passes once its time has come."""
    token = system.forge(iat=system.now + 60, exp=system.now + 120)
    with pytest.raises(ServiceError):
        await system.verifier.verify(token)
    system.clock.advance(60)
    assert (await system.verifier.verify(token)).subject == USER.subject


async def test_least_used_token_is_forgotten_first(system):
    """Memory is bounded: over the capacity the token that was not used for longest goes."""
    verifier = TokenVerifier(system.keys, ISSUER, AUDIENCE, system.clock, capacity=2)
    first, second, third = (system.token(USER) for _ in range(3))
    await verifier.verify(first)
    await verifier.verify(second)
    assert verifier.cached(first) is not None
    await verifier.verify(third)
    assert verifier.cached(second) is None
    assert verifier.cached(first) is not None
    assert verifier.cached(third) is not None


async def test_token_of_a_removed_key_is_refused_within_a_refresh(system):
    """A remembered token falls with its key, though it has not expired; one of the new key passes."""
    token = system.token(USER)
    await system.verifier.verify(token)
    new_key = Ed25519PrivateKey.generate()
    system.server.keys = [public_key("k2", new_key)]
    system.clock.advance(60)
    assert system.verifier.cached(token) is not None, "the refresh runs beside the call that started it"
    fresh = system.forge({"kid": "k2"}, key=new_key)
    await system.verifier.verify(fresh)
    assert system.verifier.cached(token) is None
    with pytest.raises(ServiceError):
        await system.verifier.verify(token)


async def test_polls_keep_the_keys_of_an_idle_service_fresh(system):
    """D7: nobody has called for an hour; a token of a key that was removed meanwhile is refused the first time."""

    async def nobody():
        return ()

    poller = RevocationPoller(system.verifier.revocations, nobody, answered=system.keys.refresh_if_due)
    token = system.token(USER)
    await system.verifier.verify(token)
    system.server.keys = [public_key("k2", Ed25519PrivateKey.generate())]
    for _ in range(60):
        system.clock.advance(2)
        await poller.poll()
        await asyncio.sleep(0)
    assert system.verifier.cached(token) is None
    with pytest.raises(ServiceError):
        await system.verifier.verify(token)
    assert system.server.asked == 3  # once, and twice in two minutes: a poll every two seconds asks no oftener


async def test_a_verifier_of_a_node_is_kept_fresh(monkeypatch, tmp_path):
    """The poller of revocations of a service has its verifier's keys refreshed."""
    monkeypatch.setenv("ACCOUNT_SERVICE_TARGET", "ipv4:127.0.0.1:1")
    platform = PlatformSettings(profile="test", var_dir=tmp_path)
    node = Node(name="item", platform=platform, settings=ServiceSettings())
    verifier = node.verifier()
    polling: Any = node._background[0]
    assert polling.__self__._answered == verifier._keys.refresh_if_due
    await node.peers["account"].close()


async def test_added_key_keeps_verified_tokens(system):
    """With overlap nobody is verified twice: old tokens stay known while both keys are listed."""
    token = system.token(USER)
    await system.verifier.verify(token)
    new_key = Ed25519PrivateKey.generate()
    system.server.keys = [public_key("k2", new_key), *system.server.keys]
    system.clock.advance(60)
    await system.verifier.verify(system.forge({"kid": "k2"}, key=new_key))
    assert system.verifier.cached(token) is not None
