"""StaffService, through its whole chain."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from pos.store.v1 import staff_service_pb2 as pb
from pos.store.v1 import staff_service_pb2_grpc as pb_grpc
from pos.store.v1.staff_pb2 import StaffMember
from trunkline.call import acting_for

from services.store.storage.tables import STAFF
from tests.services.callers import admin, assert_replayed, refusal, send, service, till

AOKI = StaffMember(staff_id="s1", name="Aoki", roles=["cashier"], active=True)


@pytest.fixture
async def crew(staff):
    """StaffService of a tenant with s1, whose PIN is 1234, and s2, who is not active."""
    await staff.CreateStaff(pb.CreateStaffRequest(staff_id="s1", name="Aoki", pin="1234", roles=["cashier"]))
    await staff.CreateStaff(pb.CreateStaffRequest(staff_id="s2", name="Baba", pin="5678"))
    await staff.UpdateStaff(pb.UpdateStaffRequest(staff_id="s2", active=False))
    return staff


@pytest.fixture
async def verifier(system, crew):
    """StaffService for another service."""
    return pb_grpc.StaffServiceStub(service(system, "terminal").channel("store"))


MISSING = ("NOT_FOUND", "pos.store/STAFF_NOT_FOUND", {"staff_id": "none"})


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            pb.CreateStaffRequest(staff_id="s1", name="Chiba", pin="0000"),
            ("ALREADY_EXISTS", "pos.store/STAFF_EXISTS", {"staff_id": "s1"}),
        ),
        (pb.GetStaffRequest(staff_id="none"), MISSING),
        (pb.ListStaffRequest(page_token="eA=="), ("INVALID_ARGUMENT", "pos.type/PAGE_TOKEN_INVALID", {})),
        (pb.UpdateStaffRequest(staff_id="none", pin="0000"), MISSING),
    ],
)
async def test_refuses(crew, request_, expected):
    """Every refusal of the contract has its status, reason and metadata."""
    assert await refusal(send(crew, request_)) == expected


@pytest.mark.parametrize(
    ("staff_id", "pin", "expected"),
    [
        ("s1", "4321", ("PERMISSION_DENIED", "pos.store/PIN_REFUSED", {"staff_id": "s1"})),
        ("none", "1234", ("PERMISSION_DENIED", "pos.store/PIN_REFUSED", {"staff_id": "none"})),
        ("s2", "4321", ("PERMISSION_DENIED", "pos.store/PIN_REFUSED", {"staff_id": "s2"})),
        ("s2", "5678", ("FAILED_PRECONDITION", "pos.store/STAFF_INACTIVE", {"staff_id": "s2"})),
    ],
)
async def test_refuses_a_pin(verifier, system, staff_id, pin, expected):
    """A wrong PIN and an unknown staff member look alike; who is not active is told so after the right PIN only."""
    with till(system).forwarded():
        request = pb.VerifyStaffPinRequest(staff_id=staff_id, pin=pin)
        assert await refusal(verifier.VerifyStaffPin(request)) == expected


async def test_verifies_a_pin(verifier, system):
    """The right PIN gives its staff member, for a till of the tenant and for work in the tenant's name."""
    request = pb.VerifyStaffPinRequest(staff_id="s1", pin="1234")
    with till(system).forwarded():
        assert (await verifier.VerifyStaffPin(request)).staff == AOKI
    with acting_for("acme"):
        assert (await verifier.VerifyStaffPin(request)).staff == AOKI
    with acting_for("zeta"):
        assert (await refusal(verifier.VerifyStaffPin(request)))[1] == "pos.store/PIN_REFUSED"


async def test_pins_are_checked_for_services_only(crew, system):
    """Neither the back office nor a till may try PINs."""
    for caller in (admin(system), till(system)):
        stub = pb_grpc.StaffServiceStub(caller.channel("store"))
        refused = await refusal(stub.VerifyStaffPin(pb.VerifyStaffPinRequest(staff_id="s1", pin="1234")))
        assert refused[:2] == ("PERMISSION_DENIED", "trunk/ACCESS_DENIED")


async def test_keeps_hashes_only(crew, node):
    """A PIN is kept as an Argon2id hash of the least cost allowed, salted: equal PINs have different hashes."""
    await crew.CreateStaff(pb.CreateStaffRequest(staff_id="s3", name="Doi", pin="1234"))
    hashes = await node.storage.database.read(
        lambda connection: connection.scalars(sa.select(STAFF.c.pin_hash).order_by(STAFF.c.staff_id)).all()
    )
    assert all(one.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for one in hashes)
    assert hashes[0] != hashes[2]


@pytest.mark.parametrize(
    ("request_", "other"),
    [
        (
            pb.CreateStaffRequest(staff_id="s3", name="Doi", pin="1111"),
            pb.CreateStaffRequest(staff_id="s3", name="Doi", pin="2222"),
        ),
        (pb.UpdateStaffRequest(staff_id="s1", pin="1111"), pb.UpdateStaffRequest(staff_id="s1", pin="2222")),
    ],
)
async def test_changes_once(crew, request_, other):
    """A repeat of any change gets the first answer, and its key does not fit another PIN."""
    await assert_replayed(crew, request_, other)


async def test_changes_only_what_is_given(crew, verifier, system):
    """Absent fields keep their values, the PIN too; an empty list of roles takes all away."""
    changed = await crew.UpdateStaff(pb.UpdateStaffRequest(staff_id="s1", name="Abe"))
    assert changed.staff == StaffMember(staff_id="s1", name="Abe", roles=["cashier"], active=True)
    roles = pb.UpdateStaffRequest.Roles()
    changed = await crew.UpdateStaff(pb.UpdateStaffRequest(staff_id="s1", roles=roles))
    assert changed.staff == StaffMember(staff_id="s1", name="Abe", active=True)
    request = pb.VerifyStaffPinRequest(staff_id="s1", pin="1234")
    with till(system).forwarded():
        assert (await verifier.VerifyStaffPin(request)).staff == changed.staff
    await crew.UpdateStaff(pb.UpdateStaffRequest(staff_id="s1", pin="9999"))
    with till(system).forwarded():
        assert (await refusal(verifier.VerifyStaffPin(request)))[1] == "pos.store/PIN_REFUSED"


async def test_lists_in_pages(crew):
    """Staff come by id, a page at a time, inactive members included."""
    first = await crew.ListStaff(pb.ListStaffRequest(page_size=1))
    second = await crew.ListStaff(pb.ListStaffRequest(page_size=1, page_token=first.next_page_token))
    listed = [(one.staff_id, one.active) for one in (*first.staff, *second.staff)]
    assert (listed, second.next_page_token) == ([("s1", True), ("s2", False)], "")


async def test_tenants_do_not_see_each_other(crew, system):
    """A staff member of another tenant looks like none, and the id is free."""
    theirs = pb_grpc.StaffServiceStub(admin(system, "zeta").channel("store"))
    for request_ in (pb.GetStaffRequest(staff_id="s1"), pb.UpdateStaffRequest(staff_id="s1", active=False)):
        assert (await refusal(send(theirs, request_)))[1] == "pos.store/STAFF_NOT_FOUND"
    assert not (await theirs.ListStaff(pb.ListStaffRequest())).staff
    await theirs.CreateStaff(pb.CreateStaffRequest(staff_id="s1", name="Zola", pin="1234"))
    assert (await crew.GetStaff(pb.GetStaffRequest(staff_id="s1"))).staff == AOKI
