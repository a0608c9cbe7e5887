"""Texts with a NUL are refused at the edge, wherever they stand; other bytes may hold what they like."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from trunk.event.v1.consumer_service_pb2 import ListDeadLettersRequest
from trunk.event.v1.envelope_pb2 import Envelope, Topic
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError
from trunkline.interceptors.nul import refuse_nul
from trunkline.testing.ping import bench

CASES = [
    (pb.PingRequest(value="a\0b"), "value"),
    (Topic(name="n", groups=["ok", "\0"]), "groups"),
    (ListDeadLettersRequest(filter={"topic": "t\0"}), "filter.topic"),  # type: ignore[arg-type]  # a dict will do
    (Struct(fields={"a\0": {"bool_value": True}}), "fields"),  # type: ignore[dict-item]  # likewise
]


@pytest.mark.parametrize(("message", "field"), CASES, ids=lambda one: one if isinstance(one, str) else "")
def test_a_text_with_a_nul_is_refused_and_its_field_named(message, field):
    """E23: in fields, lists, messages inside and keys of maps."""
    with pytest.raises(ServiceError) as refused:
        refuse_nul(message, message.SerializeToString())
    error = refused.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert error.metadata == {"field": field}


@pytest.mark.parametrize("message", [pb.PingRequest(value="a b"), Envelope(payload=b"a\0b", id="x"), Envelope()])
def test_others_pass(message):
    """E23: bytes are no text."""
    refuse_nul(message, message.SerializeToString())


async def test_a_server_refuses_it():
    """E23: before the handler, as INVALID_ARGUMENT."""
    async with bench() as on:
        with pytest.raises(ServiceError) as refused:
            await on.ping.Ping(pb.PingRequest(value="a\0b"))
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (await on.ping.Ping(pb.PingRequest(value="ab"))).value == "ab"
