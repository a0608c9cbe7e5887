"""The root credential: the first of all, with which the others are made. It stands in one file and nowhere else."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from trunkline.auth.files import is_private, write_private
from trunkline.storage import DatabaseRefused

SECRET_BYTES = 32
"""Randomness of a secret."""


def root_secret_hash(path: Path, root_id: str) -> bytes:
    """SHA-256 of the root credential's secret; the credential is made where there is none yet.

    Args:
        path: The file, of mode 0600: one line, `<root_id>.<secret>`.
        root_id: What stands before the dot.

    Raises:
        DatabaseRefused: the file is open to others, or holds something else.
    """
    if not path.exists():
        write_private(path, f"{root_id}.{secrets.token_urlsafe(SECRET_BYTES)}\n".encode())
    if not is_private(path.stat().st_mode):
        raise DatabaseRefused(f"{path} is open to others: delete it, and a new one is made at the next start")
    found, _, secret = path.read_text("ascii", "replace").strip().partition(".")
    if found != root_id or not secret:
        raise DatabaseRefused(f"{path} is no root credential: delete it, and a new one is made at the next start")
    return hashlib.sha256(secret.encode()).digest()
