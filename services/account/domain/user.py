"""Users: people of a tenant who sign in with a password. Its hash is kept apart and goes nowhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from services.account.domain.grant import Grant
from services.account.domain.role import scopes_of
from services.kernel.failure import AlreadyExists, InvalidInput, NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person of a tenant."""

    tenant_id: str
    """Tenant the user belongs to."""
    user_name: str
    """Name to sign in with."""
    display_name: str
    """Name for people."""
    roles: tuple[str, ...]
    """What the user is; decides what the tokens may do."""
    credential_id: str
    """Claim `cred` of the user's tokens. Another one takes its place whenever they become void."""
    create_time: datetime
    """When the user was created."""
    password_time: datetime
    """When the password was last set."""
    disable_time: datetime | None = None
    """When the user was disabled; None while the user may sign in."""

    def __post_init__(self) -> None:
        scopes_of(self.roles)

    def with_roles(self, roles: tuple[str, ...], credential_id: str) -> User:
        """This user with other roles."""
        return replace(self, roles=roles, credential_id=credential_id)

    def with_password(self, now: datetime, credential_id: str) -> User:
        """This user after the password was changed."""
        return replace(self, password_time=now, credential_id=credential_id)

    def disabled(self, now: datetime, credential_id: str) -> User:
        """This user, disabled now unless that was done already."""
        return self if self.disable_time is not None else replace(self, disable_time=now, credential_id=credential_id)

    def enabled(self) -> User:
        """This user, who may sign in."""
        return replace(self, disable_time=None)


def new_credential_id(now: datetime, random_part: str) -> str:
    """An id that no credential had before."""
    return f"u_{int(now.timestamp() * 1000):012x}{random_part}"


def subject_of(user_name: str) -> str:
    """Subject of a user's tokens."""
    return f"{_SUBJECT}{user_name}"


def user_name_of(subject: str) -> str | None:
    """The user whose tokens have this subject; None where it is somebody else's."""
    return subject.removeprefix(_SUBJECT) if subject.startswith(_SUBJECT) else None


def grant_of_user(user: User, currency_code: str) -> Grant:
    """What the tokens of a user say; currency_code is the tenant's."""
    return Grant(
        kind="user",
        subject=subject_of(user.user_name),
        credential_id=user.credential_id,
        scopes=scopes_of(user.roles),
        tenant_id=user.tenant_id,
        currency_code=currency_code,
    )


def check_password(password: str, user_name: str) -> None:
    """Refuses a new password that whoever knows the name would try first. Its length is the contract's matter."""
    if password.casefold() == user_name.casefold():
        raise InvalidInput("PASSWORD_UNFIT", "the password is the user name")


def user_missing(user_name: str) -> NotFound:
    """There is no such user in reach of the caller."""
    return NotFound("USER_NOT_FOUND", "there is no such user", user_name=user_name)


def user_taken(user_name: str) -> AlreadyExists:
    """Another user of the tenant has this name."""
    return AlreadyExists("USER_EXISTS", "a user of this name exists", user_name=user_name)


_SUBJECT = "users/"
