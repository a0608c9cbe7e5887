"""Stored answers in a form that may be kept elsewhere for a while: sealed, and of no use to anybody else."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

from trunkline.call import IdempotencyContext
from trunkline.storage.secret import Secret

SEALED_FOR = timedelta(hours=1)
"""How long an answer that holds a secret can be replayed, and how long any answer is kept elsewhere."""
_FINGERPRINT_BYTES, _TIME_BYTES = 32, 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AnswerSeal:
    """Seals and opens answers of one service, under its secret."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def name(self, bound_to: bytes) -> str:
        """Where the answer to a call is kept: tells nothing of the call, and is another one under another secret."""
        return self._secret.sign(b"kept\n" + bound_to).hex()

    def seal(self, context: IdempotencyContext, bound_to: bytes, answer: bytes, create_time: datetime) -> bytes:
        """The answer, what it was asked by, and since when it is there."""
        micros = (create_time - _EPOCH) // timedelta(microseconds=1)
        return self._secret.seal(context.fingerprint + micros.to_bytes(_TIME_BYTES) + answer, b"kept\n" + bound_to)

    def open(self, context: IdempotencyContext, bound_to: bytes, sealed: bytes, now: datetime) -> bytes | None:
        """The answer; None where it is of another request, too old, or was not sealed here for this call."""
        content = self._secret.open(sealed, b"kept\n" + bound_to)
        if content is None or not hmac.compare_digest(content[:_FINGERPRINT_BYTES], context.fingerprint):
            return None
        rest = content[_FINGERPRINT_BYTES:]
        create_time = _EPOCH + timedelta(microseconds=int.from_bytes(rest[:_TIME_BYTES]))
        return rest[_TIME_BYTES:] if create_time > now - SEALED_FOR else None
