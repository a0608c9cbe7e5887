"""SettingsService, through its whole chain."""

from __future__ import annotations

import pytest
from pos.store.v1 import settings_service_pb2 as pb
from pos.store.v1 import settings_service_pb2_grpc as pb_grpc
from pos.store.v1.setting_pb2 import Setting

from tests.services.callers import admin, assert_replayed, refusal, send, till

KEY = "receipt_header"
CACHED_S = 5
"""Seconds for which the contract lets a caller keep the answer of GetSetting."""


def put(value: str | None, store_code: str | None = None, terminal_no: int | None = None) -> pb.PutSettingRequest:
    """Sets or removes the receipts' header in one place."""
    return pb.PutSettingRequest(key=KEY, value=value, store_code=store_code, terminal_no=terminal_no)


def get(store_code: str | None = None, terminal_no: int | None = None) -> pb.GetSettingRequest:
    """Asks for the receipts' header in one place."""
    return pb.GetSettingRequest(key=KEY, store_code=store_code, terminal_no=terminal_no)


async def test_the_narrowest_value_holds(settings, clock):
    """A value is looked for at the terminal, its store, the tenant, and last in the setting's default."""
    places = {"here": ("0001", 1), "beside": ("0001", 2), "elsewhere": ("0002", 1), "tenant": (None, None)}

    async def look() -> dict[str, tuple[str, str]]:
        clock.advance(CACHED_S)
        found = {name: (await settings.GetSetting(get(*place))).setting for name, place in places.items()}
        return {name: (one.value, Setting.Scope.Name(one.scope)) for name, one in found.items()}

    default, tenant = ("", "SCOPE_DEFAULT"), ("all", "SCOPE_TENANT")
    assert await look() == {"here": default, "beside": default, "elsewhere": default, "tenant": default}
    for request in (put("till", "0001", 1), put("store", "0001"), put("all")):
        await settings.PutSetting(request)
    here, beside = ("till", "SCOPE_TERMINAL"), ("store", "SCOPE_STORE")
    assert await look() == {"here": here, "beside": beside, "elsewhere": tenant, "tenant": tenant}
    await settings.PutSetting(put(None, "0001", 1))
    await settings.PutSetting(put("", "0001"))
    empty = ("", "SCOPE_STORE")
    assert await look() == {"here": empty, "beside": empty, "elsewhere": tenant, "tenant": tenant}


async def test_put_answers_what_holds_then(settings):
    """After a value is removed the answer is what holds in its place, not what was removed."""
    await settings.PutSetting(put("all"))
    answer = await settings.PutSetting(put("store", "0001"))
    assert (answer.setting.value, answer.setting.scope) == ("store", Setting.SCOPE_STORE)
    answer = await settings.PutSetting(put(None, "0001"))
    assert (answer.setting.value, answer.setting.scope) == ("all", Setting.SCOPE_TENANT)


async def test_lists_all_settings(settings):
    """Every setting is listed by key, with its default where nothing is set."""
    await settings.PutSetting(pb.PutSettingRequest(key="receipt_no_range", value="200000-299999", store_code="0001"))
    listed = (await settings.ListSettings(pb.ListSettingsRequest(store_code="0001", terminal_no=1))).settings
    assert [(one.key, one.value, one.scope) for one in listed] == [
        ("invoice_registration_no", "", Setting.SCOPE_DEFAULT),
        ("receipt_footer", "", Setting.SCOPE_DEFAULT),
        ("receipt_header", "", Setting.SCOPE_DEFAULT),
        ("receipt_no_range", "200000-299999", Setting.SCOPE_STORE),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("receipt_no_range", "111111-999999"),
        ("receipt_no_range", "200000-200000"),
        ("invoice_registration_no", "T1234567890123"),
        ("invoice_registration_no", ""),
        ("receipt_header", "銀座店\nありがとうございます\u3000"),
        ("receipt_footer", ""),
    ],
)
async def test_takes_good_values(settings, key, value):
    """Values of the right form are kept as they are."""
    answer = await settings.PutSetting(pb.PutSettingRequest(key=key, value=value))
    assert answer.setting == Setting(key=key, value=value, scope=Setting.SCOPE_TENANT)


INVALID = ("INVALID_ARGUMENT", "pos.store/SETTING_VALUE_INVALID")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            pb.PutSettingRequest(key="receipt_colour", value="red"),
            ("NOT_FOUND", "pos.store/SETTING_UNKNOWN", {"key": "receipt_colour"}),
        ),
        (
            pb.GetSettingRequest(key="receipt_colour"),
            ("NOT_FOUND", "pos.store/SETTING_UNKNOWN", {"key": "receipt_colour"}),
        ),
        *(
            (pb.PutSettingRequest(key=key, value=value), (*INVALID, {"key": key}))
            for key, value in (
                ("receipt_no_range", ""),
                ("receipt_no_range", "111111"),
                ("receipt_no_range", "111110-999999"),
                ("receipt_no_range", "300000-200000"),
                ("receipt_no_range", "\uff1111111-999999"),
                ("receipt_no_range", "111111-999999\n"),
                ("invoice_registration_no", "T12\n"),
                ("receipt_header", "bell\a"),
            )
        ),
        (put("x", None, 1), ("INVALID_ARGUMENT", "trunk/REQUEST_INVALID", {"field": ""})),
    ],
)
async def test_refuses(settings, request_, expected):
    """Every refusal of the contract has its status, reason and metadata."""
    assert await refusal(send(settings, request_)) == expected


async def test_changes_once(settings):
    """A repeat of a change gets the first answer; removing is another request than setting to nothing."""
    await assert_replayed(settings, put(None), put(""))


async def test_tenants_do_not_see_each_other(settings, system):
    """A value holds for its own tenant only."""
    await settings.PutSetting(put("all"))
    theirs = pb_grpc.SettingsServiceStub(admin(system, "zeta").channel("store"))
    assert (await theirs.GetSetting(get())).setting == Setting(key=KEY, scope=Setting.SCOPE_DEFAULT)


@pytest.mark.parametrize("request_", [get("0002"), pb.ListSettingsRequest(store_code="0002")])
async def test_a_till_reads_its_own_store_only(settings, system, request_):
    """A terminal that names another store is refused, and may set nothing."""
    stub = pb_grpc.SettingsServiceStub(till(system).channel("store"))
    foreign = ("PERMISSION_DENIED", "pos.type/STORE_FOREIGN", {"store_code": "0002"})
    assert await refusal(send(stub, request_)) == foreign
    assert (await refusal(stub.PutSetting(put("x"))))[1] == "trunk/ACCESS_DENIED"
    assert (await stub.GetSetting(get("0001", 1))).setting.scope == Setting.SCOPE_DEFAULT
