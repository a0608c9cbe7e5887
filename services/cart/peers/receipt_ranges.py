"""Receipt number ranges, asked of the store service."""

from __future__ import annotations

import grpc
from pos.store.v1 import settings_service_pb2, settings_service_pb2_grpc

from services.cart.domain.numbering import ReceiptRange
from services.kernel.ids import TerminalId

SETTING = "receipt_no_range"
"""Key of the setting: first and last number, such as `111111-999999`."""


class ReceiptRangePeer:
    """Implements `ReceiptRanges`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: settings_service_pb2_grpc.SettingsServiceAsyncStub = settings_service_pb2_grpc.SettingsServiceStub(
            channel
        )

    async def range_of(self, terminal_id: TerminalId) -> ReceiptRange:
        """The range in force for a terminal."""
        answer = await self._stub.GetSetting(
            settings_service_pb2.GetSettingRequest(
                key=SETTING, store_code=terminal_id.store_code, terminal_no=terminal_id.terminal_no
            )
        )
        first, _, last = answer.setting.value.partition("-")
        return ReceiptRange(int(first), int(last))
