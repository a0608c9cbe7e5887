"""Stores, staff and settings between the wire and the domain."""

from __future__ import annotations

from pos.store.v1 import setting_pb2, settings_service_pb2, staff_pb2, store_pb2

from services.store.domain.setting import Place, Setting
from services.store.domain.staff import StaffMember
from services.store.domain.store import Store
from services.wire.kinds import to_enum

Placed = (
    settings_service_pb2.PutSettingRequest
    | settings_service_pb2.GetSettingRequest
    | settings_service_pb2.ListSettingsRequest
)
"""Requests that name a place."""


def from_store(message: store_pb2.Store) -> Store:
    """A new store as the caller describes it; InvalidInput / TIME_ZONE_UNKNOWN."""
    return Store(message.store_code, message.name, message.time_zone)


def to_store(store: Store) -> store_pb2.Store:
    """A store."""
    return store_pb2.Store(store_code=store.store_code, name=store.name, time_zone=store.time_zone)


def to_staff(member: StaffMember) -> staff_pb2.StaffMember:
    """A staff member, without the PIN."""
    return staff_pb2.StaffMember(staff_id=member.staff_id, name=member.name, roles=member.roles, active=member.active)


def from_place(request: Placed) -> Place:
    """The place a request names; the whole tenant if it names none."""
    return Place(request.store_code, request.terminal_no)


def to_setting(setting: Setting) -> setting_pb2.Setting:
    """A setting as it holds in one place."""
    scope = to_enum(setting_pb2.Setting.Scope, setting.scope)
    return setting_pb2.Setting(key=setting.key, value=setting.value, scope=scope)
