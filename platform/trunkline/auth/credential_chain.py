"""Several credentials in an explicit order: what is tried for a target, and when the next one may follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import grpc

from trunkline.auth.credential import Credential, CredentialAbsent
from trunkline.auth.credential_file import CredentialFile
from trunkline.call import current_call
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError, platform_error
from trunkline.policies.credentials import REFUSED_S, Outcome, next_may_follow

Told = Callable[[str, Outcome], None]
"""Is told of every credential that is tried, and what came of it."""


@dataclass(frozen=True, slots=True)
class Link:
    """One credential of a chain."""

    name: str
    """For metrics and logs."""
    credential: Credential
    """What is tried."""
    even_if_refused: bool = False
    """The next one may follow where this one is refused. Otherwise only where it is absent."""


class Picked(NamedTuple):
    """What is sent."""

    name: str
    """Of the credential."""
    token: str
    """Its token."""

    def __repr__(self) -> str:
        return f"Picked({self.name})"


class CredentialChain:
    """Credentials in the order in which they are tried: `CredentialChain([Link("token", ...), Link("key", ...)])`.

    The first that is there is used. One that is absent is passed over; one that is refused ends the call, unless its
    link says that the next one may follow; one that fails ends it always. A credential itself: give it to `connect()`.
    """

    def __init__(self, links: Sequence[Link], clock: Clock = SYSTEM_CLOCK) -> None:
        if not links or len({link.name for link in links}) < len(links):
            raise ValueError("a chain has at least one credential, and each a name of its own")
        self._links = tuple(links)
        self._clock = clock
        self._refused: dict[str, tuple[str, float]] = {}

    async def token(self) -> str:
        """A token that is valid now; as `pick`."""
        return (await self.pick()).token

    async def pick(self, told: Told = lambda *_: None) -> Picked:
        """The token of the first credential that there is.

        Raises:
            ServiceError: the refusal or failure that ended the search; a refusal that was passed over, where nothing
                followed it; UNAVAILABLE / CREDENTIAL_MISSING where all are absent.
        """
        refusal: ServiceError | None = None
        for link in self._links:
            try:
                token = await link.credential.token()
                if not self._passed_over(link, token):
                    told(link.name, Outcome.USED)
                    return Picked(link.name, token)
                error = platform_error(
                    grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", f"the peer has refused the {link.name}'s token"
                )
            except ServiceError as raised:
                error = raised
            outcome = _outcome(error)
            told(link.name, outcome)
            if not next_may_follow(outcome, even_if_refused=link.even_if_refused):
                raise error
            refusal = refusal or (error if outcome is Outcome.REFUSED else None)
        if refusal is not None:
            raise refusal
        raise CredentialAbsent

    def refused(self, picked: Picked) -> None:
        """A peer has refused this token. Where its link allows, it is passed over for a minute, or until it changes."""
        self._refused[picked.name] = (picked.token, self._clock.monotonic() + REFUSED_S)

    def doubt(self, token: str) -> None:
        """A peer has refused this token: whose it is may exchange another."""
        for link in self._links:
            tell = getattr(link.credential, "doubt", None)
            if tell is not None:
                tell(token)

    def _passed_over(self, link: Link, token: str) -> bool:
        refused = self._refused.get(link.name)
        if refused is None or not link.even_if_refused:
            return False
        if refused[0] == token and self._clock.monotonic() < refused[1]:
            return True
        del self._refused[link.name]
        return False


class TokenFile:
    """A token in a file of mode 0600 that somebody else keeps fresh: read when first needed, and when it changes."""

    def __init__(self, path: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        self._file = CredentialFile(path, clock)

    async def token(self) -> str:
        """What stands in the file.

        Raises:
            ServiceError: UNAVAILABLE / CREDENTIAL_MISSING where there is none, or others may read it.
        """
        found = self._file.read()
        if not found:
            raise CredentialAbsent
        return found


class NoCredential:
    """A credential that this process was not given."""

    async def token(self) -> str:
        """None.

        Raises:
            ServiceError: UNAVAILABLE / CREDENTIAL_MISSING.
        """
        raise CredentialAbsent


class ForwardedToken:
    """The token of whoever the current call is made for: the process calls as its caller, not as itself."""

    async def token(self) -> str:
        """The caller's token.

        Raises:
            ServiceError: UNAVAILABLE / CREDENTIAL_MISSING outside a call, and in one without a caller.
        """
        call = current_call()
        if call is None or call.caller is None or not call.caller.token:
            raise CredentialAbsent
        return call.caller.token


def _outcome(error: ServiceError) -> Outcome:
    if isinstance(error, CredentialAbsent):
        return Outcome.ABSENT
    return Outcome.REFUSED if error.code is grpc.StatusCode.UNAUTHENTICATED else Outcome.FAILED
