"""Takes what gRPC wakes the event loop with as it comes.

A thread of gRPC's writes a byte into a socket for each of its events, and the event loop reads one byte a turn,
though it then handles all events. Where a turn is long, bytes pile up; at some 280 the socket is full, the thread waits
until the loop has read one, and from then on one event comes a turn, whatever waits in the core.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
from collections.abc import Callable
from typing import Any

QUEUE = "PollerCompletionQueue"
"""Class of grpc's Cython module whose method the loop calls."""


def take_wakeups(loop: asyncio.AbstractEventLoop) -> bool:
    """Has a loop read all bytes at once; to be called once gRPC has met the loop. Gives whether it found them.

    Where it does not (another loop than asyncio's own, another gRPC), all is as gRPC has made it.
    """
    selector: Any = getattr(loop, "_selector", None)
    for key in list(selector.get_map().values()) if selector is not None else ():
        handle = key.data[0] if isinstance(key.data, tuple) else None
        callback: Any = getattr(handle, "_callback", None)
        if type(getattr(getattr(callback, "func", None), "__self__", None)).__name__ == QUEUE:
            loop.add_reader(key.fd, _reader(key.fd, callback))
            return True
    return False


def _reader(fd: int, callback: Callable[[], None]) -> Callable[[], None]:
    waiting = array.array("i", [0])

    def read() -> None:
        fcntl.ioctl(fd, termios.FIONREAD, waiting, True)
        if waiting[0] > 1:
            # All but one: that one gRPC reads, and it would wait for it.
            os.read(fd, waiting[0] - 1)
        callback()

    return read
