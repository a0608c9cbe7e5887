"""Public keys while the identity service is away: how often it is asked, and what is said of keys nobody knows."""

from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trunkline.auth import keys as module
from trunkline.errors import ServiceError

from tests.trunkline.auth.identity_system import public_key
from tests.trunkline.auth.test_keys import DOWN, _id_of, _keys, _server, _settled


async def test_failed_refresh_is_repeated_within_seconds(clock):
    """A minute without the identity service is not another minute without its newest key."""
    server = _server("k1")
    keys = _keys(server, clock)
    await keys.find("k1")
    server.failure = DOWN
    clock.advance(60)
    for asked in (2, 3, 4):
        await keys.find("k1")
        await _settled(keys)
        clock.advance(4.9)
        await keys.find("k1")
        assert server.asked == asked
        clock.advance(0.1)
    server.failure, server.keys = None, [public_key("k2", Ed25519PrivateKey.generate()), *server.keys]
    assert await _id_of(keys, "k2") == "k2"


async def test_unknown_key_is_not_called_invalid_while_the_list_cannot_be_had(clock):
    """It may be a new one: UNAVAILABLE / KEYS_UNAVAILABLE, with a push-back; known keys go on."""
    server = _server("k1")
    keys = _keys(server, clock)
    await keys.find("k1")
    server.failure = DOWN
    clock.advance(60)
    for _ in range(2):
        with pytest.raises(ServiceError) as caught:
            await keys.find("k2")
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "KEYS_UNAVAILABLE")
        assert caught.value.retry_after_s == pytest.approx(5.0)
        assert await _id_of(keys, "k1") == "k1"
    assert server.asked == 2


async def test_unknown_key_waits_no_longer_than_a_second(clock, monkeypatch):
    """An identity service that hangs does not let tokens with invented key ids pile up."""
    monkeypatch.setattr(module, "WAIT_S", 0.01)
    server = _server("k1")
    keys = _keys(server, clock)
    await keys.find("k1")
    gate = asyncio.Event()

    async def hang():
        await gate.wait()
        return ()

    keys._fetch = hang
    clock.advance(60)
    async with asyncio.timeout(2):
        with pytest.raises(ServiceError) as caught:
            await keys.find("k2")
    assert caught.value.reason == "KEYS_UNAVAILABLE"
    await keys.close()


async def test_outage_is_told_once(clock, monkeypatch):
    """However long it lasts: one line when it begins, and one when it is over."""
    capture = structlog.testing.LogCapture()
    wrapper = structlog.make_filtering_bound_logger(logging.INFO)
    monkeypatch.setattr(module, "_log", structlog.wrap_logger(None, processors=[capture], wrapper_class=wrapper))
    server = _server("k1")
    keys = _keys(server, clock)
    await keys.find("k1")
    for failure in (DOWN, DOWN, DOWN, None):
        server.failure = failure
        clock.advance(60)
        await keys.find("k1")
        await _settled(keys)
    assert [line["event"] for line in capture.entries] == ["public keys not refreshed", "public keys refreshed again"]
