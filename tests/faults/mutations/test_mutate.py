"""The mutations themselves: drawn from their seed, of every kind, and mostly no longer the request that they were."""

from __future__ import annotations

from trunk.testing.v1 import ping_service_pb2 as pb

from tests.faults.mutations.mutate import mutations

REQUEST = pb.PingManyRequest(value="v", behaviour=pb.Behaviour(fail_with=[14], attempt_key="k"), count=3)
RAW = REQUEST.SerializeToString()
COUNT = 1_000


def drawn(seed: str) -> list[tuple[str, bytes]]:
    """Mutations of the request."""
    return list(mutations(RAW, pb.PingManyRequest, [b"\x0a\x03abc"], seed, COUNT))


def test_they_follow_from_the_seed():
    """The same seed makes the same mutations, another makes others."""
    assert drawn("a") == drawn("a")
    assert drawn("a") != drawn("b")


def test_every_kind_is_drawn():
    """Of a thousand, every change of bytes and of fields is among them, and few are the request itself."""
    found = drawn("a")
    done = "\n".join(name for name, _ in found)
    for kind in (
        "flip", "insert", "delete", "duplicate", "truncate", "splice",
        "PingManyRequest.count set", "Behaviour.attempt_key set", "without PingManyRequest.behaviour", "is no UTF-8",
        "another type", "behaviour twice", "groups 5000 deep", "without an end", "behaviour in itself", "unknown field",
    ):  # fmt: skip
        assert kind in done
    assert sum(mutant == RAW for _, mutant in found) < COUNT // 10
