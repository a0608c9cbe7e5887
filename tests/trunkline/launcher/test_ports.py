"""Ports that are free, and stay so until whoever asked listens there."""

from __future__ import annotations

import socket
from collections import deque

import pytest
from trunkline.launcher import ports
from trunkline.launcher.system import LOCAL_HOST, LaunchError


def test_two_who_ask_are_not_given_the_same(monkeypatch: pytest.MonkeyPatch):
    """A range that nobody listens on yet may be somebody's all the same."""
    monkeypatch.setattr(ports, "LOWEST", 20_000)
    monkeypatch.setattr(ports, "HIGHEST", 20_064)
    monkeypatch.setattr(ports, "TRIES", 20_000)
    monkeypatch.setattr(ports, "_given", deque[range](maxlen=ports.RECENT))
    given = [range(first, first + 9) for first in (ports.free_range(9) for _ in range(3))]
    assert len({port for one in given for port in one}) == 27


def test_one_who_listens_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    """Where the only range has a listener, there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind((LOCAL_HOST, ports.free_port()))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setattr(ports, "LOWEST", port)
        monkeypatch.setattr(ports, "HIGHEST", port + 3)
        monkeypatch.setattr(ports, "_given", deque[range](maxlen=ports.RECENT))
        with pytest.raises(LaunchError, match="no 2 free ports"):
            ports.free_range(2)
