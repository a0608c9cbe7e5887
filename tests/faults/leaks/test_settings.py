"""Secrets of settings: from a file where an operator wants that, and never told."""

from __future__ import annotations

from pathlib import Path

import pytest
from trunkline.settings import PlatformSettings, describe, read

PASSWORD = "sesame-3141592653"
URL = f"redis://:{PASSWORD}@127.0.0.1:6379/0"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that REDIS_URL_FILE names; REDIS_URL is not set."""
    path = tmp_path / "redis-url"
    path.write_text(f"{URL}\n")
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_URL_FILE", str(path))
    return path


def test_the_address_of_redis_may_stand_in_a_file(file: Path):
    """D16: it holds as if it stood in the environment, and what is printed at start has no password."""
    (settings,), mistakes = read(PlatformSettings)
    assert mistakes == []
    assert settings.redis_url == URL
    assert PASSWORD not in str(describe(settings))
    assert "redis://:***@127.0.0.1:6379/0" in describe(settings).values()


@pytest.mark.parametrize("wrong", ["both", "missing", "binary", "no address"])
def test_a_wrong_file_is_told_without_what_it_holds(file: Path, monkeypatch: pytest.MonkeyPatch, wrong: str):
    """D16: two addresses, no file, no text, no address: told with the variable's name, and nothing is repeated."""
    match wrong:
        case "both":
            monkeypatch.setenv("REDIS_URL", URL)
        case "missing":
            file.unlink()
        case "binary":
            file.write_bytes(b"\xff" + URL.encode())
        case _:
            file.write_text(f"http://:{PASSWORD}@h")
    loaded, (mistake,) = read(PlatformSettings)
    assert loaded == []
    assert "REDIS_URL" in mistake
    assert PASSWORD not in mistake
