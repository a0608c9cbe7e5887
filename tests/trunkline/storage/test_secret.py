"""The secret file: made once, closed to others."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from trunkline.storage import DatabaseRefused
from trunkline.storage.secret import SECRET_BYTES, Secret


def test_file_is_made_where_it_is_missing(tmp_path):
    """The file appears with mode 0600, and nothing is left beside it; afterwards it stays the same."""
    file = tmp_path / "deep" / "s"
    secret = Secret(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) == SECRET_BYTES
    assert [path.name for path in file.parent.iterdir()] == ["s"]
    assert Secret(file).sign(b"x") == secret.sign(b"x")


def test_makers_at_once_agree(tmp_path):
    """Of several that find no file, one makes it, and all use that."""
    with ThreadPoolExecutor(8) as pool:
        signs = list(pool.map(lambda _: Secret(tmp_path / "s").sign(b"x"), range(8)))
    assert len(set(signs)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_file_open_to_others_is_refused(tmp_path, mode):
    """A secret that others can read is none; the refusal names the way out."""
    file = tmp_path / "s"
    Secret(file)
    file.chmod(mode)
    with pytest.raises(DatabaseRefused, match="chmod 600"):
        Secret(file)


def test_file_of_another_length_is_refused(tmp_path):
    """A cut or foreign file is not used as a secret."""
    file = tmp_path / "s"
    file.touch(0o600)
    with pytest.raises(DatabaseRefused, match="32 bytes"):
        Secret(file)


def test_sealed_opens_under_the_same_secret_and_binding_only(tmp_path):
    """Another secret, another binding or a changed byte: nothing is opened."""
    secret, other = Secret(tmp_path / "s"), Secret(tmp_path / "o")
    sealed = secret.seal(b"content", b"row 1")
    assert b"content" not in sealed
    assert secret.open(sealed, b"row 1") == b"content"
    assert secret.open(sealed, b"row 2") is None
    assert other.open(sealed, b"row 1") is None
    assert secret.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), b"row 1") is None
