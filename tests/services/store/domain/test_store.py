"""Stores and their staff."""

import pytest

from services.kernel.failure import InvalidInput, WrongState
from services.store.domain.staff import StaffMember, check_active
from services.store.domain.store import Store


def test_a_store_keeps_the_time_of_its_place():
    """A store has a time zone that is known."""
    assert Store("0001", "Main street", "Asia/Tokyo").time_zone == "Asia/Tokyo"


def test_a_store_of_nowhere_cannot_be_built():
    """A time zone that nobody knows has no trading day."""
    with pytest.raises(InvalidInput) as refusal:
        Store("0001", "Main street", "Asia/Atlantis")
    assert (refusal.value.reason, refusal.value.metadata) == ("TIME_ZONE_UNKNOWN", {"time_zone": "Asia/Atlantis"})


def test_only_active_staff_sign_in():
    """Who is not active is refused, and named."""
    check_active(StaffMember(staff_id="s1", name="Hanako"))
    with pytest.raises(WrongState) as refusal:
        check_active(StaffMember(staff_id="s1", name="Hanako", active=False))
    assert (refusal.value.reason, refusal.value.metadata) == ("STAFF_INACTIVE", {"staff_id": "s1"})
