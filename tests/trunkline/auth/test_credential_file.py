"""The file a credential stands in."""

from __future__ import annotations

import os

import grpc
import pytest
from structlog.testing import capture_logs
from trunkline.auth.credential_file import CredentialFile
from trunkline.auth.files import write_private
from trunkline.errors import ServiceError


def test_file_is_read_again_when_it_changes(clock, tmp_path):
    """A replaced or rewritten file is noticed within a second; until then it is not even looked at."""
    path = tmp_path / "credential"
    write_private(path, b"first.secret\n")
    file = CredentialFile(path, clock)
    assert file.read() == "first.secret"
    write_private(path, b"other.secret\n")
    assert file.read() == "first.secret"
    clock.advance(1)
    assert file.read() == "other.secret"
    path.write_text("third.secret")
    os.utime(path, ns=(1, 1))
    clock.advance(1)
    assert file.read() == "third.secret"


def test_untouched_file_is_not_read_again(clock, tmp_path):
    """As long as inode, time and size stay, what was read stands."""
    path = tmp_path / "credential"
    write_private(path, b"first.secret")
    file = CredentialFile(path, clock)
    file.read()
    times = path.stat()
    path.write_text("FIRST.SECRET")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    clock.advance(1)
    assert file.read() == "first.secret"


def test_taken_away_file_takes_the_credential_away(clock, tmp_path):
    """A credential whose file is gone is not used any longer."""
    path = tmp_path / "credential"
    write_private(path, b"first.secret")
    file = CredentialFile(path, clock)
    file.read()
    path.unlink()
    clock.advance(1)
    assert file.read() is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o602, 0o700, 0o666])
def test_file_open_to_others_is_refused(clock, tmp_path, mode):
    """Any mode wider than 0600 is refused, and the log names the file once."""
    path = tmp_path / "credential"
    write_private(path, b"first.secret")
    path.chmod(mode)
    file = CredentialFile(path, clock)
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(ServiceError) as caught:
                file.read()
            clock.advance(1)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING")
    assert "0600" in caught.value.message
    assert str(path) not in caught.value.message
    assert [line["path"] for line in logs] == [str(path)]


def test_file_is_refused_when_it_is_opened_to_others_later(clock, tmp_path):
    """The mode counts each time, not only at the first reading; put right, the file is taken again."""
    path = tmp_path / "credential"
    write_private(path, b"first.secret")
    file = CredentialFile(path, clock)
    file.read()
    path.chmod(0o644)
    clock.advance(1)
    with pytest.raises(ServiceError):
        file.read()
    path.chmod(0o400)
    assert file.read() == "first.secret"


@pytest.mark.parametrize("content", [b"\xff\xfe", "schlüssel".encode()])
def test_file_that_is_no_text_is_refused(clock, tmp_path, content):
    """A credential is ASCII; anything else is the wrong file."""
    path = tmp_path / "credential"
    write_private(path, content)
    with pytest.raises(ServiceError, match="cannot be read"):
        CredentialFile(path, clock).read()


def test_directory_is_no_credential(clock, tmp_path):
    """What cannot be read is refused, not taken for missing."""
    with pytest.raises(ServiceError, match="cannot be read"):
        CredentialFile(tmp_path, clock).read()
