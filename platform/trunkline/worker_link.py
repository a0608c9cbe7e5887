"""The line between a parent and one of its workers: the worker says that it serves, and tells its counts when asked.

Each side sees when the other is gone, however it went: the line ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from trunkline.settings import taken

VARIABLE = "TRUNKLINE_WORKER"
"""Tells a process that it is a worker: its number, the port it serves on, and its end of the line."""
SERVING, COUNTS = b"S", b"C"
"""What a worker says: that it serves, and what it has counted."""
ASK = b"?"
"""What a parent says: that it wants to know the counts."""
_HEAD = struct.Struct("!cI")
_SEND_BOUND = struct.pack("ll", 2, 0)
"""A parent that is frozen holds nobody up for longer (a timeval)."""


class WorkerLink:
    """A worker's end. Its counts are told from a thread of its own: a busy event loop can be seen to be busy."""

    def __init__(self, number: int, port: int, line: socket.socket, counts: Callable[[], bytes]) -> None:
        self.number = number
        """Of this worker; no other that runs has it."""
        self.port = port
        """Where all workers serve."""
        self._line = line
        self._line.set_inheritable(False)
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_BOUND)
        self._counts = counts
        self._sending = threading.Lock()
        self._closed = False

    @classmethod
    def given(cls, counts: Callable[[], bytes]) -> Self | None:
        """The line to the parent of this process; None if it is nobody's worker. Asked once: children get none of it.

        Args:
            counts: gives what this process has counted, in Prometheus' text format.
        """
        told = taken(VARIABLE)
        if not told:
            return None
        number, port, descriptor = (int(part) for part in told.split(":"))
        return cls(number, port, socket.socket(fileno=descriptor), counts)

    async def run(self, stop: asyncio.Event) -> None:
        """Background work of the server: says that it serves, and answers until the end of the process."""
        self._send(SERVING)
        threading.Thread(target=self._answer, name="trunkline-worker", daemon=True).start()
        await stop.wait()

    def close(self) -> None:
        """Tells the last counts and ends the line."""
        self._closed = True
        self._send(COUNTS, self._counts())
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()

    def _answer(self) -> None:
        with suppress(OSError):
            while self._line.recv(1):
                self._send(COUNTS, self._counts())
        if not self._closed:
            # The parent is gone: nobody else would end this process, or start it again.
            os.kill(os.getpid(), signal.SIGTERM)

    def _send(self, kind: bytes, body: bytes = b"") -> None:
        with self._sending, suppress(OSError):
            self._line.sendall(_HEAD.pack(kind, len(body)) + body)


class ParentLink:
    """The parent's end of the line to one worker."""

    def __init__(self) -> None:
        self.serving = asyncio.Event()
        """Set when the worker serves."""
        self.counts = b""
        """What it told last."""
        self.theirs: socket.socket | None
        """The worker's end, to be closed here once the worker has it."""
        self._ours, self.theirs = socket.socketpair()
        self._fresh = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None

    async def listen(self) -> None:
        """Returns when the worker has ended its line."""
        reader, self._writer = await asyncio.open_connection(sock=self._ours)
        try:
            while True:
                kind, size = _HEAD.unpack(await reader.readexactly(_HEAD.size))
                body = await reader.readexactly(size)
                if kind == SERVING:
                    self.serving.set()
                else:
                    self.counts = body
                    self._fresh.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            self._fresh.set()
        finally:
            self._writer.close()

    async def ask(self, bound_s: float) -> bytes:
        """Its counts as they are now; where it does not answer in time, as they were."""
        self._fresh.clear()
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(ASK)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._fresh.wait(), bound_s)
        return self.counts

    def handed_over(self) -> None:
        """The worker has its end now."""
        if self.theirs is not None:
            self.theirs.close()
            self.theirs = None
