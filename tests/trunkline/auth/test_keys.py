"""Public keys: when they are fetched, and what holds while they cannot be."""

from __future__ import annotations

import asyncio
import itertools
import stat

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trunk.identity.v1 import identity_service_pb2 as pb
from trunkline.auth.keys import PublicKeys
from trunkline.errors import ServiceError, unavailable

from tests.trunkline.auth.identity_system import USER, KeyServer, public_key

DOWN = unavailable("", "connection refused")


async def _settled(keys: PublicKeys) -> None:
    """Waits for a refresh that runs beside the test."""
    if keys._refreshing is not None:
        await asyncio.wait({keys._refreshing})


async def _id_of(keys: PublicKeys, key_id: str) -> str | None:
    found = await keys.find(key_id)
    return found.key_id if found is not None else None


def _keys(server: KeyServer, clock, path=None) -> PublicKeys:
    return PublicKeys(server.fetch, path, clock)


def _server(*names: str) -> KeyServer:
    return KeyServer([public_key(name, Ed25519PrivateKey.generate()) for name in names])


async def test_nothing_is_fetched_before_a_key_is_needed(clock):
    """A service starts without the identity service."""
    server = _server("k1")
    keys = _keys(server, clock)
    assert server.asked == 0
    assert await _id_of(keys, "k1") == "k1"
    assert server.asked == 1


async def test_callers_that_come_together_share_one_fetch(clock):
    """Fifty calls before the first key make one fetch, and all get the key."""
    server = _server("k1")
    keys = _keys(server, clock)
    found = await asyncio.gather(*(keys.find("k1") for _ in range(50)))
    assert all(key is not None for key in found)
    assert server.asked == 1


async def test_cancelled_caller_does_not_end_the_fetch_of_others(clock):
    """Whoever came first may give up; the others still get their key."""
    server, gate = _server("k1"), asyncio.Event()

    async def slow():
        await gate.wait()
        return await server.fetch()

    keys = PublicKeys(slow, None, clock)
    first, second = asyncio.create_task(keys.find("k1")), asyncio.create_task(_id_of(keys, "k1"))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == "k1"
    assert server.asked == 1


async def test_keys_in_use_are_refreshed_every_minute_without_waiting(clock):
    """A known key is answered at once; the fetch that is due runs beside it."""
    server = _server("k1")
    keys = _keys(server, clock)
    await keys.find("k1")
    clock.advance(59.9)
    await keys.find("k1")
    await _settled(keys)
    assert server.asked == 1
    clock.advance(0.1)
    await keys.find("k1")
    assert server.asked == 1, "the caller did not wait for the refresh"
    await _settled(keys)
    assert server.asked == 2


async def test_known_key_is_answered_while_the_identity_service_hangs(clock):
    """A refresh that never ends holds nobody up."""
    server = _server("k1")
    keys = _keys(server, clock)
    await keys.find("k1")
    gate = asyncio.Event()

    async def hang():
        await gate.wait()
        return ()

    keys._fetch = hang
    clock.advance(60)
    for _ in range(3):
        assert await _id_of(keys, "k1") == "k1"
    await keys.close()


async def test_thousand_unknown_key_ids_make_one_fetch_a_minute(clock):
    """Tokens with invented key ids cannot make this service ask more than once a minute."""
    server = _server("k1")
    keys = _keys(server, clock)
    await keys.find("k1")
    for number in range(1000):
        assert await keys.find(f"random-{number}") is None
    assert server.asked == 1
    clock.advance(60)
    for number in range(1000):
        assert await keys.find(f"random-{number}") is None
    assert server.asked == 2


async def test_new_key_is_found_by_its_first_token(clock):
    """An unknown key id is worth a fetch when the last one is a minute ago."""
    server = _server("k1")
    keys = _keys(server, clock)
    await keys.find("k1")
    server.keys = [public_key("k2", Ed25519PrivateKey.generate()), *server.keys]
    clock.advance(60)
    assert await _id_of(keys, "k2") == "k2"
    assert await _id_of(keys, "k1") == "k1"


async def test_without_any_key_the_call_may_be_repeated(clock):
    """No keys is our trouble, not the caller's: UNAVAILABLE / KEYS_UNAVAILABLE with a push-back."""
    keys = _keys(KeyServer(failure=DOWN), clock)
    with pytest.raises(ServiceError) as caught:
        await keys.find("k1")
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "KEYS_UNAVAILABLE")
    assert caught.value.domain == "trunk"
    assert caught.value.retry_after_s == pytest.approx(0.1)


async def test_token_is_not_called_invalid_for_want_of_keys(system):
    """A good token meets UNAVAILABLE while there are no keys, and passes afterwards."""
    system.server.failure = DOWN
    token = system.token(USER)
    with pytest.raises(ServiceError) as caught:
        await system.verifier.verify(token)
    assert caught.value.reason == "KEYS_UNAVAILABLE"
    system.server.failure = None
    system.clock.advance(1)
    assert (await system.verifier.verify(token)).subject == USER.subject


async def test_without_any_key_fetches_are_repeated_with_a_growing_wait(clock):
    """0.1 s, 0.2 s, 0.4 s ... up to 5 s between fetches, however many calls come."""
    server = KeyServer(failure=DOWN)
    keys = _keys(server, clock)
    instants, start = [], clock.monotonic()
    while clock.monotonic() - start < 30:
        asked = server.asked
        with pytest.raises(ServiceError):
            await keys.find("k1")
        if server.asked > asked:
            instants.append(clock.monotonic() - start)
        clock.advance(0.05)
    waits = [later - sooner for sooner, later in itertools.pairwise(instants)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5], abs=0.06)


async def test_keys_outlive_an_identity_service_that_is_down(clock):
    """A failed refresh, or an empty answer, takes no key away."""
    server = _server("k1")
    keys = _keys(server, clock)
    await keys.find("k1")
    for failure, listed in ((DOWN, ()), (None, ()), (None, [pb.PublicKey(key_id="k9", algorithm="HS256")])):
        server.failure, server.keys = failure, listed
        clock.advance(60)
        await keys.find("k1")
        await _settled(keys)
        assert await _id_of(keys, "k1") == "k1"
    assert server.asked == 4


async def test_key_that_cannot_be_used_is_passed_over(clock):
    """Keys of another algorithm, of the wrong length or without an id are not taken, the good one is."""
    good = _server("k1").keys[0]
    raw = good.public_key
    bad = [
        pb.PublicKey(key_id="a", algorithm="HS256", public_key=raw),
        pb.PublicKey(key_id="b", algorithm="EdDSA", public_key=raw[:31]),
        pb.PublicKey(key_id="", algorithm="EdDSA", public_key=raw),
    ]
    keys = _keys(KeyServer([*bad, good]), clock)
    found = await keys.find("k1")
    assert found is not None
    assert found.raw == raw
    for one in bad:
        assert await keys.find(one.key_id) is None


async def test_last_keys_are_kept_on_disk(clock, tmp_path):
    """A restarted service verifies with the keys it had, before anybody answers it; nobody else may write them."""
    path = tmp_path / "cart" / "public-keys.json"
    server = _server("k1", "k2")
    keys = _keys(server, clock, path)
    await keys.find("k1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["public-keys.json"]

    down = KeyServer(failure=DOWN)
    restarted = _keys(down, clock, path)
    found = await restarted.find("k2")
    assert found is not None
    assert found.raw == server.keys[1].public_key
    await _settled(restarted)
    assert down.asked == 1, "kept keys are refreshed on first use"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"keys": 7}', '{"keys": [{"key_id": "k1"}]}', '{"keys": [7]}', "\x00"]
)
async def test_broken_file_of_keys_counts_as_none(clock, tmp_path, content):
    """What is left of a file is no reason not to start: the keys are fetched."""
    path = tmp_path / "public-keys.json"
    path.write_text(content)
    server = _server("k1")
    keys = _keys(server, clock, path)
    assert await _id_of(keys, "k1") == "k1"
    assert server.asked == 1


async def test_keys_are_used_though_they_cannot_be_kept(clock, tmp_path):
    """A full or missing disk costs the copy, not the call."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    keys = _keys(_server("k1"), clock, in_the_way / "public-keys.json")
    assert await _id_of(keys, "k1") == "k1"


async def test_version_rises_only_when_a_key_goes_away(clock):
    """Adding a key leaves what was verified; taking or replacing one does not."""
    server = _server("k1")
    keys = _keys(server, clock)
    steps = []
    other = _server("k2").keys[0]
    for listed in (server.keys, [other, *server.keys], [other], _server("k2").keys):
        server.keys = listed
        await keys.find("k-unknown")
        steps.append(keys.version)
        clock.advance(60)
    assert steps == [0, 0, 1, 2]
