"""The root credential."""

from __future__ import annotations

import hashlib
import stat

import pytest
from trunkline.storage import DatabaseRefused

from services.account.storage.root_credential import root_secret_hash


def test_first_start_makes_the_root_credential_and_keeps_it(tmp_path):
    """One line, `root.<secret>`, 256 bits, mode 0600; later starts find the same."""
    path = tmp_path / "account" / "root.credential"
    made = root_secret_hash(path, "root")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    root_id, _, secret = path.read_text().rstrip("\n").partition(".")
    assert root_id == "root"
    assert len(secret) == 43
    assert made == hashlib.sha256(secret.encode()).digest()
    assert root_secret_hash(path, "root") == made


def test_no_two_systems_have_the_same_secret(tmp_path):
    """There is no default secret."""
    assert root_secret_hash(tmp_path / "a", "root") != root_secret_hash(tmp_path / "b", "root")


def test_root_credential_open_to_others_is_refused(tmp_path):
    """Others may have read it: it is not used."""
    path = tmp_path / "root.credential"
    root_secret_hash(path, "root")
    path.chmod(0o644)
    with pytest.raises(DatabaseRefused, match="open to others"):
        root_secret_hash(path, "root")


@pytest.mark.parametrize("content", ["", "root.", "root", "admin.secret", "\xff"])
def test_file_that_holds_something_else_is_refused(tmp_path, content):
    """An empty or foreign file is not taken for a credential: its secret could be guessed."""
    path = tmp_path / "root.credential"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(DatabaseRefused, match="no root credential"):
        root_secret_hash(path, "root")
