"""SettingsService on the wire."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from pos.store.v1 import settings_service_pb2 as pb
from pos.store.v1 import settings_service_pb2_grpc as pb_grpc
from trunkline.call import require_tenant
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.store.domain.setting import KEYS, Place, Setting, check_known, check_value, resolve
from services.store.handlers.convert import from_place, to_setting
from services.store.storage import settings
from services.wire.failures import refusals
from services.wire.reach import require_store


class SettingsServicer(pb_grpc.SettingsServiceServicer):
    """Reads and maintains settings."""

    def __init__(self, database: Database, unit: UnitOfWork) -> None:
        self._database = database
        self._unit = unit

    @refusals
    async def PutSetting(self, request: pb.PutSettingRequest, context: Context) -> pb.PutSettingResponse:
        """Sets or removes a value."""
        tenant_id, key, place = require_tenant(), request.key, from_place(request)
        value = request.value if request.HasField("value") else None
        check_known(key)
        if value is not None:
            check_value(key, value)

        def work(tx: Transaction) -> pb.PutSettingResponse:
            settings.put(tx.connection, tenant_id, key, place, value)
            (setting,) = _resolved(tx.connection, tenant_id, [key], place)
            return pb.PutSettingResponse(setting=to_setting(setting))

        return await self._unit.run(work)

    @refusals
    async def GetSetting(self, request: pb.GetSettingRequest, context: Context) -> pb.GetSettingResponse:
        """Gets the value that holds in one place."""
        tenant_id, place = require_store(request.store_code), from_place(request)
        (setting,) = await self._database.read(
            lambda connection: _resolved(connection, tenant_id, [request.key], place)
        )
        return pb.GetSettingResponse(setting=to_setting(setting))

    @refusals
    async def ListSettings(self, request: pb.ListSettingsRequest, context: Context) -> pb.ListSettingsResponse:
        """Lists the values of all settings that hold in one place."""
        tenant_id, place = require_store(request.store_code), from_place(request)
        listed = await self._database.read(lambda connection: _resolved(connection, tenant_id, KEYS, place))
        return pb.ListSettingsResponse(settings=[to_setting(one) for one in listed])


def _resolved(connection: sa.Connection, tenant_id: str, keys: Sequence[str], place: Place) -> list[Setting]:
    found = settings.values(connection, tenant_id, keys, place)
    return [resolve(key, place, found.get(key, {})) for key in keys]
