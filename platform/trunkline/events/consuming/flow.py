"""Entries on their way to their effects. Under load four batches are on it at once, each at a step of its own: one is
acknowledged, the next is committed, one more is decoded, and another is read.

The order of effects is that of the entries all the same: one batch is committed at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby

import structlog

from trunkline.clock import Clock
from trunkline.events.consuming.settling import BATCH, Settling
from trunkline.events.event import Arrival, Decoder
from trunkline.events.shard import Entry, Shard
from trunkline.faultpoints import faultpoint
from trunkline.foreground import Foreground

SERVING_BATCH = 32
"""Events applied in one transaction while calls are served: what they write waits for no more than that."""
FINISH_S = 2.0
"""Seconds after their reading in which entries in hand are settled even if it is to stop."""
_log = structlog.get_logger("trunkline.events")


class Batch:
    """Entries that are settled together. They are decoded once, as soon as there is time."""

    def __init__(self, entries: Sequence[Entry], decoder: Decoder) -> None:
        self.entries = entries
        """In the order in which they were read."""
        self._decoder = decoder
        self._arrivals: list[Arrival] | None = None

    @property
    def arrivals(self) -> list[Arrival]:
        """The events of those that were not gone."""
        self.decode()
        assert self._arrivals is not None
        return self._arrivals

    def decode(self) -> None:
        """Decodes them, if that has not been done."""
        if self._arrivals is None:
            decode = self._decoder.decode
            self._arrivals = [
                decode(entry.shard.topic, entry.data, entry=entry) for entry in self.entries if entry.data is not None
            ]


class Flow:
    """The way of one group's entries, for one process."""

    def __init__(
        self,
        settling: Settling,
        decoder: Decoder,
        acknowledge: Callable[[Mapping[Shard, Sequence[bytes]]], Awaitable[None]],
        clock: Clock,
        foreground: Foreground,
    ) -> None:
        """Puts the parts together.

        Args:
            settling: Has something become of events.
            decoder: Reads them.
            acknowledge: Acknowledges entries of streams, by their ids.
            clock: Tells how long there is still time once it is to stop.
            foreground: Calls that batches yield to.
        """
        self._settling = settling
        self._decoder = decoder
        self._acknowledge = acknowledge
        self._clock = clock
        self._foreground = foreground

    async def run(
        self,
        entries: Sequence[Entry],
        stop: asyncio.Event,
        *,
        tried: bool = False,
        more: Callable[[], Awaitable[Sequence[Entry]]] | None = None,
    ) -> None:
        """Settles entries and acknowledges them.

        Args:
            entries: In the order of their streams.
            stop: What cannot be done soon after it is set is left.
            tried: They were given to a process that has ended, which may have tried them.
            more: Reads what comes next without waiting for any; asked where more than one batch is in hand.

        Raises:
            LeaseLost: they are another process's now.
            RedisUnavailable: some may not be acknowledged; they come again.
            ServiceError: the database is away; nothing is known to have become of them.
        """
        batches, until = self._batches(entries), self._clock.monotonic() + FINISH_S
        reading: asyncio.Task[Sequence[Entry]] | None = None
        acknowledging: asyncio.Task[None] | None = None
        try:
            while batches:
                batch = batches.popleft()
                if more is not None and len(batches) == 1 and not stop.is_set():
                    reading = asyncio.ensure_future(more())
                if batch.arrivals:
                    meanwhile = batches[0].decode if batches else None
                    await self._settling.settle(batch.arrivals, tried=tried, meanwhile=meanwhile)
                self._tell_gone(batch)
                faultpoint("consumer.after_commit")
                if acknowledging is not None:
                    await acknowledging
                acknowledging = asyncio.create_task(self._done(batch))
                if reading is not None:
                    batches += self._batches(await reading)
                    reading, until = None, self._clock.monotonic() + FINISH_S
                # What is left would be taken for tried by the next owner: slow, but handlers may be slower.
                if stop.is_set() and self._clock.monotonic() >= until:
                    break
            if acknowledging is not None:
                await acknowledging
        finally:
            # Neither is broken off: nobody would know what had been done.
            await asyncio.gather(*filter(None, (reading, acknowledging)), return_exceptions=True)

    def _batches(self, entries: Sequence[Entry]) -> deque[Batch]:
        size = SERVING_BATCH if self._foreground.is_active() else BATCH
        return deque(Batch(entries[at : at + size], self._decoder) for at in range(0, len(entries), size))

    def _tell_gone(self, batch: Batch) -> None:
        gone = len(batch.entries) - len(batch.arrivals)
        if gone:
            # The relay finds that the stream lacks them, or their key that numbers are missing: they come again.
            self._settling.counts.gone += gone
            _log.warning("entries were gone before they were applied", entries=gone)

    async def _done(self, batch: Batch) -> None:
        # Every entry before these is settled too: streams are read in order, and own ones first.
        done = {
            shard: [entry.id for entry in group]
            for shard, group in groupby(batch.entries, key=lambda entry: entry.shard)
        }
        await self._acknowledge(done)
        faultpoint("consumer.after_ack")
