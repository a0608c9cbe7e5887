"""Requests that are no calls: strange paths, verbs and headers."""

from __future__ import annotations

import pytest

from tests.faults.hostile.conftest import under_fault
from tests.faults.hostile.peer import ADD, PING, Peer, headers_of, message
from tests.faults.hostile.victim import Victim

INTERNAL_ERROR, PROTOCOL_ERROR = 2, 1
"""Codes of RST_STREAM."""


def strange(path: str) -> list[str]:
    """Paths that look like one of ours, and are not."""
    return [
        path[1:], f"/{path}", f"{path}/", path.lower(), path.upper(), f"{path}?x", f"{path}#x", f"{path}%00",
        path.replace("/", "//"), path.replace("Service/", "Service/./"), f"/x/..{path}", f"http://x{path}",
        path.replace("Service/", "Service%2F"), f"{path} ", f"{path}\x00", f"{path};x", "/", "", "*", "/" + "x" * 5000,
    ]  # fmt: skip


@pytest.mark.parametrize("path", [PING, ADD])
async def test_paths_that_are_none(victim: Victim, path: str):
    """C13: a path that is not one of ours to the letter is UNIMPLEMENTED, with a token and without; no handler runs."""
    token = [("authorization", f"Bearer {victim.tokens['user']}")]
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        for one in strange(path):
            for extra in ([], token):
                outcome = await peer.call([*headers_of(one), *extra])
                assert (outcome.status, outcome.text) == (12, "Method not found!"), one
    assert fault.handled == 0
    assert fault.after is not None
    assert fault.after.begun - fault.before.begun == len(fault.polite.seconds)


async def test_two_paths(victim: Victim):
    """C13: of two paths the same one is routed and judged: a public one does not lead to a method for bearers."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        for paths in ((PING, ADD), (ADD, PING)):
            outcome = await peer.call([*headers_of(paths[0]), (":path", paths[1])], message(b""))
            assert outcome.status in (0, 12, 13, 16) or outcome.reset is not None
    after = await victim.meters()
    assert fault.handled <= 1, "only Ping may have run"
    assert after.running == 0


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "HEAD", "CONNECT", "post", ""])
async def test_other_verbs(victim: Victim, verb: str):
    """C14: any verb but POST ends the stream, and reaches no handler; the connection goes on."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        outcome = await peer.call(headers_of(method=verb))
        assert outcome.status == 13 or (outcome.status is None and outcome.reset == INTERNAL_ERROR)
        assert (await peer.call(headers_of())).status == 0
    assert fault.handled == 1


@pytest.mark.parametrize("missing", [":method", ":scheme", ":path", ":authority", "te"])
async def test_headers_that_are_missing(victim: Victim, missing: str):
    """C14: a request without what gRPC needs ends the stream, and reaches no handler; the connection goes on."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        outcome = await peer.call([one for one in headers_of() if one[0] != missing])
        assert outcome.status is None
        assert outcome.reset in (INTERNAL_ERROR, PROTOCOL_ERROR)
        assert (await peer.call(headers_of())).status == 0
    assert fault.handled == 1


@pytest.mark.parametrize("kind", ["text/html", "application/json", "", "application/grpc+json", None])
async def test_other_content_types(victim: Victim, kind: str | None):
    """C14: gRPC takes any content type; what is inside must be whole all the same."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        assert (await peer.call(headers_of(content_type=kind))).status == 0
        assert (await peer.call(headers_of(content_type=kind), b"\0\0\0\0")).status == 3
    assert fault.handled == 1
