"""Who was signed in when something happened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignedInStaff:
    """A staff member as known at that time; the name is kept although it may change later."""

    staff_id: str
    """Id of the staff member in the tenant."""
    name: str
    """Name of the staff member."""
