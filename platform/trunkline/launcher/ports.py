"""Free ports, for programs that must be told theirs before they listen."""

from __future__ import annotations

import random
import socket

from trunkline.launcher.system import LOCAL_HOST, LaunchError

LOWEST, HIGHEST = 20_000, 32_000
"""Where ports are taken from: below those that Linux gives to outgoing connections (32768 to 60999), so that no
connection of anybody takes one between the choice and its use."""
TRIES = 200
"""Places looked at before giving up."""


def free_range(count: int) -> int:
    """The first of so many ports in a row that nobody listens on.

    Raises:
        LaunchError: none were found.
    """
    for _ in range(TRIES):
        first = random.randrange(LOWEST, HIGHEST - count)
        if all(_can_bind(port) for port in range(first, first + count)):
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
