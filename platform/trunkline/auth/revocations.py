"""Credentials that were revoked: their tokens are refused though they have not expired.

`Revocations` is the list, in memory; `RevocationPoller` keeps it fresh. A call only ever looks into the list.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import structlog

from trunkline.auth.files import write_private
from trunkline.errors import ServiceError

POLL_S = 2.0
"""Seconds from one poll to the next: a revocation is known everywhere well within five seconds."""
POLL_TIMEOUT_S = 1.5
"""A poll that takes longer has failed, in seconds."""
NOT_YET = "CREDENTIAL_MISSING"
"""Reason of a poll that this process cannot make yet: nothing is wrong, and nothing is said of it."""

Fetch = Callable[[], Awaitable[Iterable[str]]]
"""Gives the ids (claim `cred`) of all revoked credentials whose tokens may still be about."""
_log = structlog.get_logger("trunkline.auth")


class Revocations:
    """The ids of revoked credentials, and who is to be told of a new one. Pure: no I/O, no clock."""

    def __init__(self) -> None:
        self.ids: frozenset[str] = frozenset()
        """Credentials (claim `cred`) whose tokens are refused."""
        self._watches: dict[str, set[Callable[[], None]]] = {}

    def take(self, ids: Iterable[str]) -> frozenset[str]:
        """Replaces the list, and tells who watches a credential that is new in it; gives the new ones."""
        listed = frozenset(ids)
        added, self.ids = listed - self.ids, listed
        for credential_id in added:
            for tell in tuple(self._watches.get(credential_id, ())):
                tell()
        return added

    def watch(self, credential_ids: Iterable[str], tell: Callable[[], None]) -> Callable[[], None]:
        """Has tell called when one of these is revoked, at once if it is already; gives what ends the watch."""
        watched = frozenset(credential_ids)
        for credential_id in watched:
            self._watches.setdefault(credential_id, set()).add(tell)
        if not watched.isdisjoint(self.ids):
            tell()

        def end() -> None:
            for credential_id in watched:
                watches = self._watches.get(credential_id, set())
                watches.discard(tell)
                if not watches:
                    self._watches.pop(credential_id, None)

        return end


class RevocationPoller:
    """Asks for the list every two seconds. While nobody answers, the last list stays.

    The list is kept on disk: a restart while the identity service is away lets nobody in again.
    """

    def __init__(
        self,
        revocations: Revocations,
        fetch: Fetch,
        path: Path | None = None,
        *,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        """Takes the list that was kept.

        Args:
            revocations: the list to keep fresh.
            fetch: asks the identity service.
            path: where the list is kept; None: nowhere.
            answered: called whenever the identity service has answered: a time to ask it for more.
        """
        self._answered = answered
        self._revocations = revocations
        self._fetch = fetch
        self._path = path
        self._out = False
        revocations.take(_read(path))

    async def run(self, stop: asyncio.Event) -> None:
        """Polls until stop is set; for `background` of a service."""
        monotonic = asyncio.get_running_loop().time
        while not stop.is_set():
            began = monotonic()
            await self.poll()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, began + POLL_S - monotonic()))

    async def poll(self) -> None:
        """Asks once. An outage is told once, when it begins."""
        try:
            async with asyncio.timeout(POLL_TIMEOUT_S):
                listed = frozenset(await self._fetch())
        except Exception as error:  # noqa: BLE001 - whatever it is, the last list stays and the service goes on
            self._failed(error)
            return
        if self._out:
            _log.info("revocations are polled again")
        self._out = False
        self._answered()
        if listed != self._revocations.ids:
            added = self._revocations.take(listed)
            if added:
                _log.info("credentials revoked", credentials=sorted(added))
            await self._keep(listed)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ServiceError) and error.reason == NOT_YET:
            return
        if not self._out:
            text = str(error) or type(error).__name__
            _log.warning("revocations not polled; the last list stays", error=text, listed=len(self._revocations.ids))
        self._out = True

    async def _keep(self, listed: frozenset[str]) -> None:
        if self._path is None:
            return
        try:
            await asyncio.to_thread(write_private, self._path, json.dumps(sorted(listed)).encode())
        except OSError as error:
            _log.warning("revocations not kept on disk", error=str(error))


def _read(path: Path | None) -> list[str]:
    if path is None or not path.exists():
        return []
    try:
        listed = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("revocations on disk are not readable", error=str(error))
        return []
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
