"""StaffService on the wire."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pos.store.v1 import staff_service_pb2 as pb
from pos.store.v1 import staff_service_pb2_grpc as pb_grpc
from trunkline.call import require_tenant
from trunkline.errors import permission_denied
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.store.domain.staff import StaffMember, check_active
from services.store.handlers.convert import to_staff
from services.store.storage import staff
from services.wire.failures import refusals
from services.wire.pages import page_of
from services.wire.slow_hashes import SlowHashes


class StaffServicer(pb_grpc.StaffServiceServicer):
    """Reads and maintains staff, and checks PINs. Hashing is done before a transaction begins: it takes its time."""

    def __init__(self, database: Database, unit: UnitOfWork, pins: SlowHashes) -> None:
        self._database = database
        self._unit = unit
        self._pins = pins

    @refusals
    async def CreateStaff(self, request: pb.CreateStaffRequest, context: Context) -> pb.CreateStaffResponse:
        """Creates a staff member."""
        tenant_id, pin_hash = require_tenant(), await self._pins.hash(request.pin)
        member = StaffMember(staff_id=request.staff_id, name=request.name, roles=tuple(request.roles))

        def work(tx: Transaction) -> pb.CreateStaffResponse:
            staff.add(tx.connection, tenant_id, member, pin_hash)
            return pb.CreateStaffResponse(staff=to_staff(member))

        return await self._unit.run(work)

    @refusals
    async def GetStaff(self, request: pb.GetStaffRequest, context: Context) -> pb.GetStaffResponse:
        """Gets a staff member, active or not."""
        tenant_id, staff_id = require_tenant(), request.staff_id
        member = await self._database.read(lambda connection: staff.get(connection, tenant_id, staff_id))
        return pb.GetStaffResponse(staff=to_staff(member))

    @refusals
    async def ListStaff(self, request: pb.ListStaffRequest, context: Context) -> pb.ListStaffResponse:
        """Lists staff by id."""
        tenant_id = require_tenant()
        page = page_of(request.page_size, request.page_token, tenant_id)
        after = str(page.after[0]) if page.after else ""
        rows = await self._database.read(
            lambda connection: staff.page(connection, tenant_id, after=after, limit=page.size + 1)
        )
        shown, more = rows[: page.size], len(rows) > page.size
        return pb.ListStaffResponse(
            staff=[to_staff(one) for one in shown],
            next_page_token=page.next_token([shown[-1].staff_id] if shown else [], more=more),
        )

    @refusals
    async def UpdateStaff(self, request: pb.UpdateStaffRequest, context: Context) -> pb.UpdateStaffResponse:
        """Changes the fields that are given."""
        tenant_id, changes = require_tenant(), _changes(request)
        pin_hash = await self._pins.hash(request.pin) if request.HasField("pin") else None

        def work(tx: Transaction) -> pb.UpdateStaffResponse:
            member = replace(staff.get(tx.connection, tenant_id, request.staff_id), **changes)
            staff.replace(tx.connection, tenant_id, member, pin_hash)
            return pb.UpdateStaffResponse(staff=to_staff(member))

        return await self._unit.run(work)

    @refusals
    async def VerifyStaffPin(self, request: pb.VerifyStaffPinRequest, context: Context) -> pb.VerifyStaffPinResponse:
        """Checks a PIN; who is unknown is refused as if the PIN were wrong, and as late."""
        tenant_id, staff_id = require_tenant(), request.staff_id
        found = await self._database.read(lambda connection: staff.find_with_pin(connection, tenant_id, staff_id))
        matches = await self._pins.matches(found[1] if found else None, request.pin)
        if found is None or not matches:
            raise permission_denied("PIN_REFUSED", "the staff member is unknown or the PIN is wrong", staff_id=staff_id)
        check_active(found[0])
        return pb.VerifyStaffPinResponse(staff=to_staff(found[0]))


def _changes(request: pb.UpdateStaffRequest) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if request.HasField("name"):
        changes["name"] = request.name
    if request.HasField("roles"):
        changes["roles"] = tuple(request.roles.roles)
    if request.HasField("active"):
        changes["active"] = request.active
    return changes
