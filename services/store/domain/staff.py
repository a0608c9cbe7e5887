"""Staff: who may sign in on a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.failure import AlreadyExists, NotFound, WrongState


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffMember:
    """Somebody who works for a tenant. The hash of the PIN is kept apart and goes nowhere."""

    staff_id: str
    """Id in the tenant."""
    name: str
    """As it stands on receipts."""
    roles: tuple[str, ...] = ()
    """What the staff member does; informative."""
    active: bool = True
    """May sign in."""


def check_active(member: StaffMember) -> None:
    """Refuses who may not sign in."""
    if not member.active:
        raise WrongState("STAFF_INACTIVE", "the staff member is not active", staff_id=member.staff_id)


def staff_missing(staff_id: str) -> NotFound:
    """There is no such staff member."""
    return NotFound("STAFF_NOT_FOUND", "there is no such staff member", staff_id=staff_id)


def staff_taken(staff_id: str) -> AlreadyExists:
    """There is a staff member of this id."""
    return AlreadyExists("STAFF_EXISTS", "the id is taken", staff_id=staff_id)
