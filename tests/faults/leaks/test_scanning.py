"""The scan of the leak tests itself: what it looks for, it finds."""

from __future__ import annotations

from pathlib import Path

from tests.faults.leaks.cards import WRITTEN
from tests.faults.leaks.scanning import found_in, found_in_files


def test_the_scan_finds_what_is_there(tmp_path: Path):
    """It would find every card number, however it is written, and every secret, in any file."""
    for name, text in WRITTEN.items():
        (tmp_path / "file").write_bytes(b"\x00\xff" + f"<{text}>".encode() + b"\x00")
        assert bool(found_in_files([tmp_path], {}, but=frozenset())) is (name != "check value"), name
    assert found_in(b"xcanaryx", {"it": "canary"}) == ["it"]
    assert found_in(b"41111111111111112 4111111111111112", {}) == []
