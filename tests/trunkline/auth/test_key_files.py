"""The files of signing keys, and what each key is for by its age."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from trunkline.auth.key_files import (
    LAST_TOKEN_S,
    LISTED_FIRST_S,
    KeyFileRefused,
    SigningKey,
    key_file,
    make_key,
    read_keys,
    signing_key,
    uses,
)
from trunkline.auth.tokens import MAX_LIFETIME_S
from trunkline.auth.verifier import LEEWAY_S
from trunkline.testing.clock import START

NAME = "20260105T090000Z-0a1b2c3d.pem"


def _made(directory: Path, *ages_s: float) -> list[SigningKey]:
    """Keys made so many seconds before START, read back newest first."""
    for age_s in ages_s:
        make_key(directory, START - timedelta(seconds=age_s))
    return read_keys(directory)


def _elliptic() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_key_is_read_as_it_was_made(tmp_path):
    """Id, time and both halves come back from a file of mode 0600 that bears the id."""
    made = make_key(tmp_path, START)
    file = key_file(tmp_path, made.key_id)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [found] = read_keys(tmp_path)
    assert (found, found.public_key) == (made, made.public_key)
    assert made.create_time == START


def test_a_key_shows_nothing_of_itself(tmp_path):
    """A signing key in a log line or traceback has no private half."""
    assert "rivate" not in repr(make_key(tmp_path, START))


def test_a_folder_that_is_not_there_has_no_keys(tmp_path):
    """No folder, no keys; other files in it are none."""
    assert read_keys(tmp_path / "none") == []
    (tmp_path / "README").touch()
    assert read_keys(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["key.pem", "2026-0a1b2c3d.pem", "20260105T090000Z-.pem", "20261305T090000Z-0a1b2c3d.pem"]
)
def test_a_file_of_another_name_is_refused(tmp_path, name):
    """A key whose age is not known is not guessed at."""
    made = make_key(tmp_path, START)
    key_file(tmp_path, made.key_id).rename(tmp_path / name)
    with pytest.raises(KeyFileRefused, match="name"):
        read_keys(tmp_path)


@pytest.mark.parametrize("content", [b"", b"junk", _elliptic()], ids=["empty", "junk", "P-256"])
def test_a_file_without_an_ed25519_key_is_refused(tmp_path, content):
    """A broken or foreign key is told by its path."""
    file = tmp_path / NAME
    file.touch(0o600)
    file.write_bytes(content)
    with pytest.raises(KeyFileRefused, match=NAME):
        read_keys(tmp_path)


def test_a_file_open_to_others_is_refused(tmp_path):
    """Somebody else may have the key: what to do is said."""
    made = make_key(tmp_path, START)
    key_file(tmp_path, made.key_id).chmod(0o640)
    with pytest.raises(KeyFileRefused, match="chmod 600"):
        read_keys(tmp_path)


@pytest.mark.parametrize(
    ("ages_s", "signs"),
    [
        ((3600,), 0),
        ((0,), 0),  # the only one, also before anybody knows it
        ((LISTED_FIRST_S - 1, 3600), 1),
        ((LISTED_FIRST_S, 3600), 0),
        ((0, 1, 2), 2),
        ((0, LISTED_FIRST_S, 3600), 1),
    ],
)
def test_the_newest_key_that_everybody_knows_signs(tmp_path, ages_s, signs):
    """A key signs when it was listed for two minutes; where none was, the oldest does."""
    keys = _made(tmp_path, *ages_s)
    assert signing_key(keys, START) == keys[signs]


@pytest.mark.parametrize(
    ("ages_s", "states"),
    [
        ((), []),
        ((0,), ["signing"]),
        ((0, 3600), ["new", "signing"]),
        ((LISTED_FIRST_S, 3600), ["signing", "old"]),
        ((LISTED_FIRST_S + LAST_TOKEN_S - 1, 7200), ["signing", "old"]),
        ((LISTED_FIRST_S + LAST_TOKEN_S, 7200), ["signing", "spent"]),
        ((0, 3600, 7200), ["new", "signing", "spent"]),
        ((0, 1, LISTED_FIRST_S + 1, 7200), ["new", "new", "signing", "old"]),
    ],
)
def test_a_key_is_new_then_signs_then_verifies_then_is_spent(tmp_path, ages_s, states):
    """D7: an old key is spent when the last token it can have signed has expired by every clock."""
    assert [one.state for one in uses(_made(tmp_path, *ages_s), START)] == states


def test_what_changes_says_when(tmp_path):
    """A new key says when it signs, an old one when it is spent."""
    signing_s = LISTED_FIRST_S + 60
    new, signing, old = uses(_made(tmp_path, 30, signing_s, 7200), START)
    assert new.until == START + timedelta(seconds=LISTED_FIRST_S - 30)
    assert signing.until is None
    assert old.until == START + timedelta(seconds=LAST_TOKEN_S - 60)


def test_an_old_key_outlives_its_last_token():
    """The life of a token, and the leeway of both clocks."""
    assert LAST_TOKEN_S >= MAX_LIFETIME_S + 2 * LEEWAY_S
