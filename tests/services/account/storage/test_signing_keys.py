"""The keys that sign tokens, while they change."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest
from trunkline.auth.key_files import LISTED_FIRST_S, key_file, make_key
from trunkline.auth.tokens import Claims
from trunkline.storage import DatabaseRefused
from trunkline.testing.clock import FakeClock

from services.account.storage.signing_keys import LOOK_S, SigningKeys

CLAIMS = Claims(kind="service", subject="cart", credential_id="c1")


def _signs_with(keys: SigningKeys) -> str:
    return str(jwt.get_unverified_header(keys.signer().sign(CLAIMS, audience="shop").token)["kid"])


async def _listed(keys: SigningKeys) -> list[str]:
    return [key.key_id for key in await keys.listed()]


async def test_first_start_makes_a_key_and_keeps_it(tmp_path):
    """The key is there after a restart, and signs from the first moment."""
    clock = FakeClock()
    [key] = await SigningKeys(tmp_path / "keys", "trunkline", clock).listed()
    restarted = SigningKeys(tmp_path / "keys", "trunkline", clock)
    [found] = await restarted.listed()
    assert (found.key_id, found.public_key, found.algorithm) == (key.key_id, key.public_key, "EdDSA")
    assert _signs_with(restarted) == key.key_id


async def test_new_key_is_listed_at_once_and_signs_once_everybody_knows_it(tmp_path):
    """D7: without a restart the new key is listed within a second, and signs when it was for two minutes."""
    clock = FakeClock()
    keys = SigningKeys(tmp_path, "trunkline", clock)
    [old] = await _listed(keys)
    clock.advance(3600)
    new = make_key(tmp_path, clock.now()).key_id
    assert await _listed(keys) == [new, old]
    assert _signs_with(keys) == old
    clock.advance(LISTED_FIRST_S - 1)
    assert _signs_with(keys) == old
    clock.advance(1)
    assert _signs_with(keys) == new
    assert await _listed(keys) == [new, old]


async def test_removed_key_is_listed_no_more(tmp_path):
    """D7: when the file of the old key goes, its listing ends, and the new one signs on."""
    clock = FakeClock()
    keys = SigningKeys(tmp_path, "trunkline", clock)
    [old] = await _listed(keys)
    new = make_key(tmp_path, clock.now()).key_id
    clock.advance(LISTED_FIRST_S)
    assert await _listed(keys) == sorted([new, old], reverse=True)
    key_file(tmp_path, old).unlink()
    clock.advance(LOOK_S)
    assert await _listed(keys) == [new]
    assert _signs_with(keys) == new


async def test_key_that_came_late_is_as_new_as_its_file(tmp_path):
    """A file made long ago and copied here now was known to nobody: it signs two minutes after it came."""
    clock = FakeClock()
    late = make_key(tmp_path / "other", clock.now())
    clock.advance(3600)
    keys = SigningKeys(tmp_path / "keys", "trunkline", clock)
    [first] = await _listed(keys)
    clock.advance(3600)
    newer = make_key(tmp_path / "other", clock.now())
    clock.advance(3600)
    for key in (late, newer):
        key_file(tmp_path / "other", key.key_id).rename(key_file(tmp_path / "keys", key.key_id))
    assert await _listed(keys) == [newer.key_id, first, late.key_id]
    assert _signs_with(keys) == first
    clock.advance(LISTED_FIRST_S)
    assert _signs_with(keys) == newer.key_id


async def test_time_to_be_listed_first_is_a_setting(tmp_path):
    """A system whose verifiers know of keys sooner may sign with them sooner."""
    clock = FakeClock()
    keys = SigningKeys(tmp_path, "trunkline", clock, listed_first_s=10)
    clock.advance(60)
    new = make_key(tmp_path, clock.now()).key_id
    assert new in await _listed(keys)
    clock.advance(9)
    assert _signs_with(keys) != new
    clock.advance(1)
    assert _signs_with(keys) == new


async def test_folder_is_looked_at_once_a_second(tmp_path):
    """A thousand tokens in one second cost one look."""
    clock = FakeClock()
    keys = SigningKeys(tmp_path, "trunkline", clock)
    clock.advance(LOOK_S)
    assert len(await _listed(keys)) == 1
    make_key(tmp_path, clock.now())
    assert len(await _listed(keys)) == 1
    clock.advance(LOOK_S)
    assert len(await _listed(keys)) == 2


def _junk(folder: Path) -> Path:
    file = folder / "20260105T090000Z-0a1b2c3d.pem"
    file.touch(0o600)
    file.write_bytes(b"junk")
    return file


def _misnamed(folder: Path) -> Path:
    file = folder / "new.pem"
    file.touch(0o600)
    return file


def _open(folder: Path) -> Path:
    file = _junk(folder)
    file.chmod(0o644)
    return file


@pytest.mark.parametrize("spoil", [_junk, _misnamed, _open])
async def test_bad_file_changes_nothing_and_is_told_once(tmp_path, logged, spoil):
    """While a file is no key, the keys stay as they were; one line says so; put right, all goes on."""
    clock = FakeClock()
    keys = SigningKeys(tmp_path, "trunkline", clock)
    before = await _listed(keys)
    bad = spoil(tmp_path)
    new = make_key(tmp_path, clock.now()).key_id
    for _ in range(5):
        clock.advance(LOOK_S)
        assert await _listed(keys) == before
        assert _signs_with(keys) == before[0]
    assert [line["event"] for line in logged] == ["signing keys stay as they were"]
    assert bad.name in str(logged[0]["error"])
    bad.unlink()
    clock.advance(LOOK_S)
    assert await _listed(keys) == sorted([new, *before], reverse=True)


async def test_last_key_is_never_forgotten(tmp_path, logged):
    """An empty folder, or none, is a mistake: the key stays in use until there is another, and it is told once."""
    clock, folder = FakeClock(), tmp_path / "keys"
    keys = SigningKeys(folder, "trunkline", clock)
    before = await _listed(keys)
    key_file(folder, before[0]).unlink()
    folder.rmdir()
    for _ in range(3):
        clock.advance(LOOK_S)
        assert await _listed(keys) == before
        assert _signs_with(keys) == before[0]
    assert len(logged) == 1
    new = make_key(folder, clock.now()).key_id
    clock.advance(LOOK_S)
    assert await _listed(keys) == [new]


def test_bad_file_ends_the_start(tmp_path):
    """A service does not start with keys of which one is open to others, or is none."""
    SigningKeys(tmp_path, "trunkline", FakeClock())
    [file] = tmp_path.iterdir()
    file.chmod(0o640)
    with pytest.raises(DatabaseRefused, match="chmod 600"):
        SigningKeys(tmp_path, "trunkline", FakeClock())


def test_private_keys_are_not_printed(tmp_path):
    """Keys in a log line or traceback show nothing of themselves."""
    keys = SigningKeys(tmp_path, "trunkline", FakeClock())
    assert "private_key" not in repr(keys._keys[0])
