"""What publishers have published, read page by page from their own databases by `trunk.event.v1.EventLogService`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from trunk.event.v1 import event_log_service_pb2 as pb
from trunk.event.v1 import event_log_service_pb2_grpc as pb_grpc

PAGE = 500
"""Events asked for at once. A page is what is held in memory."""


class EventLog(Protocol):
    """Events as they were committed."""

    def all_of(self, topic: str) -> AsyncIterator[Sequence[bytes]]:
        """Pages of envelopes of a topic in the order of their commits, up to the last one there is."""
        ...

    def of_key(self, topic: str, key: str, numbers: range) -> AsyncIterator[Sequence[bytes]]:
        """Pages of envelopes of a key with these numbers, in order; those that are not there are left out."""
        ...


class PublishedLog:
    """The log, over calls to the publishers."""

    def __init__(self, stubs: Mapping[str, pb_grpc.EventLogServiceAsyncStub]) -> None:
        """stubs: topic → its publisher."""
        self._stubs = stubs

    def all_of(self, topic: str) -> AsyncIterator[Sequence[bytes]]:
        """See EventLog."""
        return self._pages(pb.ListEventsRequest(topic=topic, page_size=PAGE))

    def of_key(self, topic: str, key: str, numbers: range) -> AsyncIterator[Sequence[bytes]]:
        """See EventLog."""
        first, last = numbers.start, numbers.stop - 1
        return self._pages(
            pb.ListEventsRequest(topic=topic, key=key, from_number=first, to_number=last, page_size=PAGE)
        )

    async def events(self, topic: str, key: str, numbers: range) -> Sequence[bytes]:
        """Envelopes of some numbers of a key, in order: what a gap is filled with.

        Raises:
            ServiceError: the publisher does not answer.
        """
        return [envelope async for page in self.of_key(topic, key, numbers) for envelope in page]

    async def _pages(self, request: pb.ListEventsRequest) -> AsyncIterator[Sequence[bytes]]:
        while True:
            answer = await self._stubs[request.topic].ListEvents(request)
            if answer.events:
                yield [one.envelope for one in answer.events]
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token
