"""Private files."""

from __future__ import annotations

import os
import stat

import pytest
from trunkline.auth.files import write_private


def test_private_file_is_never_open_to_others(tmp_path):
    """Mode 0600 whatever the umask, also over a file that was open before."""
    path = tmp_path / "new" / "secret"
    old = os.umask(0)
    try:
        write_private(path, b"one")
        path.chmod(0o644)
        write_private(path, b"two")
    finally:
        os.umask(old)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_failed_write_leaves_nothing_behind(tmp_path):
    """What could not take the file's place is removed, and the old file stays."""
    path = tmp_path / "secret"
    path.mkdir()
    with pytest.raises(OSError):
        write_private(path, b"one")
    assert list(tmp_path.iterdir()) == [path]
