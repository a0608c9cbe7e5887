"""Who makes the calls that are measured: real keys, a real token, and whoever verifies it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from trunk.identity.v1 import identity_service_pb2 as pb
from trunkline.auth.credential import FileCredential
from trunkline.auth.files import write_private
from trunkline.auth.keys import PublicKeys
from trunkline.auth.tokens import ALGORITHM, Claims, TokenSigner
from trunkline.auth.verifier import TokenVerifier
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.ping import BENCH_SETTINGS

SCOPE = "bench.read"
"""What the measured call needs."""
DEADLINE_S = 5.0
"""Seconds every call may take: what the contract of EffectService.Read says."""
ISSUER = BENCH_SETTINGS.token_issuer
"""Who signs the tokens, and for whom."""
_CLAIMS = Claims(kind="user", subject="bench", credential_id="bench", tenant_id="bench", scopes=frozenset({SCOPE}))


class Bearer:
    """A user whose token every measured way sends, and every server verifies."""

    def __init__(self, folder: Path) -> None:
        """Makes its key, and the file of its credential in a folder."""
        private_key = Ed25519PrivateKey.generate()
        self.public_key: Ed25519PublicKey = private_key.public_key()
        """Verifies its tokens."""
        self._signer = TokenSigner("bench", private_key, ISSUER)
        self._folder = folder
        write_private(folder / "credential", b"bench")
        self.token = self._signer.sign(_CLAIMS, audience=ISSUER).token
        """A token that outlives the measurement."""

    def credential(self, clock: Clock = SYSTEM_CLOCK) -> FileCredential:
        """What a process has its token from; here nobody has to be asked for it."""
        return FileCredential(self._folder / "credential", self._exchange, clock)

    def verifier(self, clock: Clock = SYSTEM_CLOCK) -> TokenVerifier:
        """A verifier as every service has it, with nothing verified yet."""
        return TokenVerifier(PublicKeys(self._keys, None, clock), ISSUER, ISSUER, clock)

    async def _exchange(self, _: str) -> tuple[str, datetime]:
        signed = self._signer.sign(_CLAIMS, audience=ISSUER)
        return signed.token, signed.expire_time

    async def _keys(self) -> list[pb.PublicKey]:
        raw = self.public_key.public_bytes_raw()
        return [pb.PublicKey(key_id="bench", algorithm=ALGORITHM, public_key=raw)]


@contextmanager
def bearer() -> Iterator[Bearer]:
    """A bearer, whose files are gone afterwards."""
    with TemporaryDirectory(prefix="bench-") as folder:
        yield Bearer(Path(folder))
