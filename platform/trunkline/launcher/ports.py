"""Free ports, for programs that must be told theirs before they listen."""

from __future__ import annotations

import random
import socket
from collections import deque

from trunkline.launcher.system import LOCAL_HOST, LaunchError

LOWEST, HIGHEST = 20_000, 32_000
"""Where ports are taken from: below those that Linux gives to outgoing connections (32768 to 60999), so that no
connection of anybody takes one between the choice and its use."""
TRIES = 200
"""Places looked at before giving up."""
RECENT = 64
"""Ranges that are not given again yet: who was given one may not listen there so far."""
_given = deque[range](maxlen=RECENT)


def free_range(count: int) -> int:
    """The first of so many ports in a row that nobody listens on, and that this process has not just given to another.

    Raises:
        LaunchError: none were found.
    """
    for _ in range(TRIES):
        first = random.randrange(LOWEST, HIGHEST - count)
        found = range(first, first + count)
        if all(_can_bind(port) and not any(port in other for other in _given) for port in found):
            _given.append(found)
            return first
    raise LaunchError(f"no {count} free ports in a row were found")


def free_port() -> int:
    """A port that nobody listens on."""
    return free_range(1)


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((LOCAL_HOST, port))
        except OSError:
            return False
    return True
