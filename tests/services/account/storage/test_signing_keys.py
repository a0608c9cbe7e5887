"""The private keys that sign tokens."""

from __future__ import annotations

import stat

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from trunkline.auth.key_files import LISTED_FIRST_S
from trunkline.auth.tokens import Claims
from trunkline.storage import DatabaseRefused
from trunkline.testing.clock import FakeClock

from services.account.storage.signing_keys import SigningKeys

CLAIMS = Claims(kind="service", subject="cart", credential_id="c1")


def _signs_with(keys: SigningKeys) -> str:
    return str(jwt.get_unverified_header(keys.signer().sign(CLAIMS, audience="shop").token)["kid"])


async def test_first_start_makes_a_key_and_keeps_it(tmp_path):
    """The key is there after a restart, in a file of mode 0600, and signs from the first moment."""
    clock, folder = FakeClock(), tmp_path / "keys"
    [key] = await SigningKeys(folder, "trunkline", clock).listed()
    [file] = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.name == f"{key.key_id}.pem"

    restarted = SigningKeys(folder, "trunkline", clock)
    [found] = await restarted.listed()
    assert (found.key_id, found.public_key, found.algorithm) == (key.key_id, key.public_key, "EdDSA")
    assert _signs_with(restarted) == key.key_id


async def test_new_key_signs_once_everybody_knows_it(tmp_path):
    """Of several keys all are listed, newest first; the newest signs when it was listed for two minutes."""
    clock, folder, other = FakeClock(), tmp_path / "keys", tmp_path / "other"
    [old] = await SigningKeys(folder, "trunkline", clock).listed()
    clock.advance(3600)
    [new] = await SigningKeys(other, "trunkline", clock).listed()
    (other / f"{new.key_id}.pem").rename(folder / f"{new.key_id}.pem")

    keys = SigningKeys(folder, "trunkline", clock)
    assert [key.key_id for key in await keys.listed()] == [new.key_id, old.key_id]
    assert _signs_with(keys) == old.key_id
    clock.advance(LISTED_FIRST_S - 1)
    assert _signs_with(keys) == old.key_id
    clock.advance(1)
    assert _signs_with(keys) == new.key_id


def test_private_key_is_not_printed(tmp_path):
    """A signing key in a log line or traceback shows nothing of itself."""
    keys = SigningKeys(tmp_path, "trunkline", FakeClock())
    assert "private_key" not in repr(keys._keys[0])


def test_key_file_open_to_others_is_refused(tmp_path):
    """Somebody else may have the key: the service does not start with it, and says what to do."""
    SigningKeys(tmp_path, "trunkline", FakeClock())
    [file] = tmp_path.iterdir()
    file.chmod(0o640)
    with pytest.raises(DatabaseRefused, match="chmod 600"):
        SigningKeys(tmp_path, "trunkline", FakeClock())


@pytest.mark.parametrize("name", ["key.pem", "2026-0a1b2c3d.pem", "20260105T090000Z-.pem"])
def test_file_of_another_name_is_refused(tmp_path, name):
    """A key whose age is not known is not guessed at."""
    (tmp_path / name).touch(0o600)
    with pytest.raises(DatabaseRefused, match="name"):
        SigningKeys(tmp_path, "trunkline", FakeClock())


def _elliptic() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("content", [b"", b"junk", _elliptic()], ids=["empty", "junk", "P-256"])
def test_file_without_an_ed25519_key_is_refused(tmp_path, content):
    """A broken or foreign key ends the start, not the first exchange."""
    file = tmp_path / "20260105T090000Z-0a1b2c3d.pem"
    file.touch(0o600)
    file.write_bytes(content)
    with pytest.raises(DatabaseRefused):
        SigningKeys(tmp_path, "trunkline", FakeClock())
