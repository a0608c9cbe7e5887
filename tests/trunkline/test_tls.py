"""Certificates in files: what is refused, what is taken over, and what a rotation that is half done does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from trunkline import tls
from trunkline.clock import SYSTEM_CLOCK
from trunkline.testing.certificates import Authority, write
from trunkline.tls import TlsRefused, TlsSource, read, require_valid

from tests.trunkline.registry.conftest import heard

UNKNOWN_KEY = b"""-----BEGIN PRIVATE KEY-----
MEUCAQAwHAYGKoUDAgITMBIGByqFAwICIwEGByqFAwICHgEEIgIgRhUDJ1WQASIf
nx+aUM2eagzV9dCt6mQ5wdtenr2ZS/Y=
-----END PRIVATE KEY-----
"""
"""Of GOST R 34.10."""


@pytest.fixture
def authority() -> Authority:
    """Signs."""
    return Authority()


def test_what_belongs_together_is_read(authority, tmp_path):
    """A certificate, its key and an authority; a log that shows them shows nothing of the key."""
    files = write(tmp_path, "item", authority)
    material = read(files)
    assert material.authority == authority.pem
    assert "PRIVATE" not in repr(material)


@pytest.mark.parametrize("kind", ["certificate", "key", "authority"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_what_is_refused(authority, tmp_path, kind, content):
    """A file that is missing, empty or nonsense is named."""
    files = write(tmp_path, "item", authority)
    path = getattr(files, kind)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(TlsRefused, match=str(path)):
        read(files)


def test_a_key_of_another_certificate_is_refused(authority, tmp_path):
    """Key and certificate are one pair."""
    files = write(tmp_path, "item", authority)
    files.key.write_bytes(authority.issue("item")[1])
    with pytest.raises(TlsRefused, match="is not the key of the certificate"):
        read(files)


def test_what_serves_nobody_is_refused(authority, tmp_path):
    """A certificate that is not valid now, of another authority, or without a service's name is told of, with why."""
    now = SYSTEM_CLOCK.now()
    files = write(tmp_path, "item", authority, also=["cart"])
    require_valid(files, ["item", "cart"], now)
    with pytest.raises(TlsRefused, match=f"{files.certificate} is valid from .* and not now"):
        require_valid(files, ["item"], now + timedelta(days=2))
    with pytest.raises(TlsRefused, match="and not now"):
        require_valid(files, ["item"], now - timedelta(days=4000))
    with pytest.raises(TlsRefused, match="lack report, stock"):
        require_valid(files, ["stock", "item", "report"], now)
    files.authority.write_bytes(Authority("another").pem)
    with pytest.raises(TlsRefused, match="is not of the authority in"):
        require_valid(files, ["item"], now)
    files.authority.write_bytes(Authority().pem)  # the same name, another key
    with pytest.raises(TlsRefused, match="is not of the authority in"):
        require_valid(files, ["item"], now)


def test_a_key_of_an_unknown_kind_is_refused(authority, tmp_path):
    """What the library cannot read is told like everything else that is no key."""
    files = write(tmp_path, "item", authority)
    files.key.write_bytes(UNKNOWN_KEY)
    with pytest.raises(TlsRefused, match="holds no private key in PEM"):
        read(files)


def test_what_is_warned_of(authority, tmp_path, monkeypatch):
    """A key that others may read, and a certificate that has expired, are used, and told of when they come."""
    files = write(tmp_path, "item", authority)
    levels = heard(monkeypatch, tls)
    source = TlsSource(files)
    assert levels == []
    files.key.chmod(0o640)
    TlsSource(files)
    assert levels == ["warning"]
    write(tmp_path, "item", authority, days=-1)
    assert [source.look() for _ in range(3)] == [True, False, False]
    assert levels == ["warning", "info", "warning"]


def test_a_rotation_is_taken_over_whole(authority, tmp_path, monkeypatch):
    """Half a rotation changes nothing and is said once; the other half makes it."""
    files = write(tmp_path, "item", authority)
    source = TlsSource(files)
    assert source.look() is False
    before = source.material
    certificate, key = authority.issue("item")
    levels = heard(monkeypatch, tls)
    files.key.write_bytes(key)
    assert [source.look() for _ in range(3)] == [False] * 3
    assert source.material is before
    files.certificate.write_bytes(certificate)
    assert [source.look() for _ in range(2)] == [True, False]
    assert source.material.certificate == certificate
    assert levels == ["warning", "info"]


def test_a_rotation_that_changes_nothing_is_none(authority, tmp_path):
    """The same content written again is no reason to connect anew."""
    files = write(tmp_path, "item", authority)
    source = TlsSource(files)
    files.key.write_bytes(files.key.read_bytes())
    assert source.look() is False
