"""Stores and staff, asked of the store service."""

from __future__ import annotations

import grpc
from pos.store.v1 import staff_service_pb2, staff_service_pb2_grpc, store_service_pb2, store_service_pb2_grpc

from services.kernel.staff import SignedInStaff
from services.terminal.peers.refusal import passed_on

DOMAIN = "pos.store"
"""Of the store service's refusals."""


class StorePeer:
    """Implements `Stores`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stores: store_service_pb2_grpc.StoreServiceAsyncStub = store_service_pb2_grpc.StoreServiceStub(channel)
        self._staff: staff_service_pb2_grpc.StaffServiceAsyncStub = staff_service_pb2_grpc.StaffServiceStub(channel)

    async def time_zone(self, store_code: str) -> str:
        """IANA time zone of a store."""
        with passed_on(DOMAIN, "STORE_NOT_FOUND"):
            answer = await self._stores.GetStore(store_service_pb2.GetStoreRequest(store_code=store_code))
        return answer.store.time_zone

    async def verified(self, staff_id: str, pin: str) -> SignedInStaff:
        """The active staff member whose PIN this is."""
        request = staff_service_pb2.VerifyStaffPinRequest(staff_id=staff_id, pin=pin)
        with passed_on(DOMAIN, "PIN_REFUSED", "STAFF_INACTIVE"):
            answer = await self._staff.VerifyStaffPin(request)
        return SignedInStaff(answer.staff.staff_id, answer.staff.name)
