"""What a process calls others with: a token, exchanged for its credential and renewed before it expires."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

import grpc
import structlog

from trunkline.auth.credential_file import CredentialFile
from trunkline.clock import SET_S, SYSTEM_CLOCK, Clock, ahead_s
from trunkline.errors import PLATFORM_DOMAIN, ServiceError

RENEW_AT = 0.8
"""Share of its life after which a token is renewed."""
PAUSE_S = 1.0
"""Least time between a failed renewal or a refusal and the next exchange of the same credential, in seconds."""
MIN_LIFE_S = 1.0
"""Least life a new token is given here, in seconds: with clocks far apart, every call would exchange anew."""

Exchange = Callable[[str], Awaitable[tuple[str, datetime]]]
"""Gives a token and its expiry for a credential; raises ServiceError UNAUTHENTICATED when it is refused."""

_log = structlog.get_logger("trunkline.auth")


@dataclass(eq=False)
class CredentialAbsent(ServiceError):
    """There is no such credential: nothing is wrong with it, and another one may be tried."""

    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    """UNAVAILABLE."""
    reason: str = "CREDENTIAL_MISSING"
    """CREDENTIAL_MISSING."""
    message: str = "no credential to call others with"
    """The same for all."""
    domain: str = field(default=PLATFORM_DOMAIN, kw_only=True)
    """The platform's."""


class Credential(Protocol):
    """Something that has a token to call others with."""

    async def token(self) -> str:
        """A token that is valid now.

        Raises:
            ServiceError: there is none; nothing else is tried instead.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    """A token in use, with its times by the monotonic clock, and how far the other one was ahead of that."""

    credential: str
    token: str
    since: float
    renew_at: float
    expires_at: float
    ahead_s: float


@dataclass(frozen=True, slots=True)
class _Flight:
    """An exchange under way; everybody who needs its token waits for this one."""

    credential: str
    task: asyncio.Task[str]


class ExchangedCredential:
    """Exchanges a credential for tokens, one exchange at a time.

    A token is renewed behind its back after 80 % of its life; calls wait for an exchange only when no token is
    valid. A changed credential is exchanged at once, and a refused one ends the use of its token. So does a clock
    that was set: servers would find the token expired, or not valid yet.
    """

    def __init__(self, read: Callable[[], str | None], exchange: Exchange, clock: Clock = SYSTEM_CLOCK) -> None:
        self._read = read
        self._exchange = exchange
        self._clock = clock
        self._held: _Held | None = None
        self._flight: _Flight | None = None
        self._refused: tuple[str, ServiceError] | None = None
        self._told: tuple[str, str] | None = None
        self._pause_until = 0.0

    def token_at_hand(self) -> str | None:
        """The token in use, where it is valid and need not be renewed; None: ask `token`, which may take its time."""
        held, now = self._held, self._clock.monotonic()
        if held is None or now >= held.renew_at or self._read() != held.credential or self._clock_was_set(held):
            return None
        return held.token

    def doubt(self, token: str) -> None:
        """A peer has refused this token: if it is the one in use, the next call has another exchanged behind its back.

        At most once a second: a peer that refuses all tokens is not helped by many.
        """
        held, now = self._held, self._clock.monotonic()
        if held is not None and held.token == token and now >= held.since + PAUSE_S:
            self._held = replace(held, renew_at=now)

    async def token(self) -> str:
        """A token that is valid now.

        Raises:
            ServiceError: UNAVAILABLE / CREDENTIAL_MISSING; UNAUTHENTICATED where the credential is refused;
                or why the exchange failed.
        """
        credential, now = self._read(), self._clock.monotonic()
        if not credential:
            self._held = None
            raise CredentialAbsent
        held = self._held
        if held is None or held.credential != credential or now >= held.expires_at or self._clock_was_set(held):
            return await self._exchanged(credential, now)
        if now >= held.renew_at and now >= self._pause_until:
            self._start(credential)
        return held.token

    async def close(self) -> None:
        """Ends a running exchange."""
        if self._flight is not None:
            self._flight.task.cancel()
            await asyncio.wait({self._flight.task})

    async def _exchanged(self, credential: str, now: float) -> str:
        if self._refused is not None and self._refused[0] == credential and now < self._pause_until:
            raise replace(self._refused[1])
        return await asyncio.shield(self._start(credential))

    def _start(self, credential: str) -> asyncio.Task[str]:
        flight = self._flight
        loop = asyncio.get_running_loop()
        if (
            flight is None
            or flight.task.done()
            or flight.credential != credential
            or flight.task.get_loop() is not loop  # a process's credential serves all its loops
        ):
            # Shared by all callers: it must not run under the deadline of whoever came first.
            task = loop.create_task(self._renew(credential), context=Context())
            task.add_done_callback(_look_at)
            self._flight = flight = _Flight(credential, task)
        return flight.task

    async def _renew(self, credential: str) -> str:
        try:
            token, expire_time = await self._exchange(credential)
        except ServiceError as error:
            self._note(credential, error)
            raise
        life_s = max(MIN_LIFE_S, (expire_time - self._clock.now()).total_seconds())
        now = self._clock.monotonic()
        if self._flight is not None and self._flight.credential == credential:
            self._refused = self._told = None
            self._held = _Held(credential, token, now, now + RENEW_AT * life_s, now + life_s, ahead_s(self._clock))
        return token

    def _clock_was_set(self, held: _Held) -> bool:
        return abs(ahead_s(self._clock) - held.ahead_s) > SET_S

    def _note(self, credential: str, error: ServiceError) -> None:
        if self._told != (credential, error.reason):
            # Told once an outage or refusal: whoever needs a token asks again and again.
            self._told = (credential, error.reason)
            _log.warning("credential not exchanged", error=str(error))
        self._pause_until = self._clock.monotonic() + PAUSE_S
        if error.code is grpc.StatusCode.UNAUTHENTICATED:
            self._refused = (credential, error)
            if self._held is not None and self._held.credential == credential:
                self._held = None


class FileCredential(ExchangedCredential):
    """The credential in a file of mode 0600: read when first needed, and again when the file changes."""

    def __init__(self, path: Path, exchange: Exchange, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(CredentialFile(path, clock).read, exchange, clock)


def _look_at(task: asyncio.Task[str]) -> None:
    # A renewal nobody waited for was logged where it failed; asyncio need not complain again.
    if not task.cancelled():
        task.exception()
