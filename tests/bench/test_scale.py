"""What the bench of servers under load reads of others, and what it is asked for."""

from __future__ import annotations

import pytest

from bench.scale import PARTS, arguments
from bench.scaling.load import _RATE
from bench.scaling.process import ended_in

METRICS = """
grpc_server_call_duration_seconds_count{grpc_method="trunk.testing.v1.PingService/Ping",grpc_status="OK"} 4844
grpc_server_call_duration_seconds_count{grpc_method="trunk.testing.v1.PingService/Ping",grpc_status="CANCELLED"} 16
grpc_server_call_duration_seconds_count{grpc_method="trunk.testing.v1.PingService/PingMany",grpc_status="OK"} 3
"""


def test_only_pings_that_were_answered_count():
    """A refusal is quick: taken for an answer it would make a full server a fast one."""
    assert ended_in(METRICS) == (4844, 16)


def test_the_rate_is_read():
    """As h2load tells it."""
    found = _RATE.search("finished in 1.18s, 1696.18 req/s, 118.96KB/s")
    assert found is not None
    assert found[1] == "1696.18"


def test_parts_are_chosen_by_name():
    """One part, or all; another name is refused."""
    assert arguments(["--only", "links"]).only == "links"
    assert (arguments([]).only, set(PARTS)) == (None, {"workers", "links", "overload"})
    with pytest.raises(SystemExit):
        arguments(["--only", "nothing"])
