"""UserService on the wire."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal, Protocol, TypeVar

from google.protobuf.message import Message
from pos.account.v1 import user_pb2
from pos.account.v1 import user_service_pb2 as pb
from pos.account.v1 import user_service_pb2_grpc as pb_grpc
from trunkline.clock import Clock
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.account.domain.user import User, check_password, new_credential_id
from services.account.handlers.convert import to_user
from services.account.handlers.password_check import PasswordCheck
from services.account.handlers.reach import calling_user, check_roles, one_tenant_in_reach
from services.account.handlers.refusal import password_refused
from services.account.storage import failures, revocations, tenants, users
from services.wire.failures import refusals
from services.wire.pages import page_of

M = TypeVar("M", bound=Message)
NewCredential = Callable[[], str]
Change = Callable[[User, datetime, NewCredential], User]
"""Gives the user as it shall be, of the user as it is, the time, and what gives another credential id."""


class OfTenant(Protocol):
    """A request that may name a tenant."""

    @property
    def tenant_id(self) -> str:
        """The tenant."""
        ...

    def HasField(self, field_name: Literal["tenant_id"], /) -> bool:
        """Says whether it is named."""
        ...


class OfUser(OfTenant, Protocol):
    """A request about a user."""

    @property
    def user_name(self) -> str:
        """The user's name."""
        ...


class UserServicer(pb_grpc.UserServiceServicer):
    """Keeps users. Hashing is done before a transaction begins: it takes its time."""

    def __init__(self, database: Database, unit: UnitOfWork, passwords: PasswordCheck, clock: Clock) -> None:
        self._database = database
        self._unit = unit
        self._passwords = passwords
        self._clock = clock

    @refusals
    async def CreateUser(self, request: pb.CreateUserRequest, context: Context) -> pb.CreateUserResponse:
        """Creates a user."""
        tenant_id, roles = _tenant(request), tuple(request.roles)
        check_roles(roles)
        check_password(request.password, request.user_name)
        password_hash, drawn = await self._passwords.hash(request.password), _draw()

        def work(tx: Transaction) -> pb.CreateUserResponse:
            tenants.get(tx.connection, tenant_id)
            user = User(
                tenant_id=tenant_id,
                user_name=request.user_name,
                display_name=request.display_name,
                roles=roles,
                credential_id=new_credential_id(tx.now, drawn),
                create_time=tx.now,
                password_time=tx.now,
            )
            users.add(tx.connection, user, password_hash)
            return pb.CreateUserResponse(user=to_user(user, None))

        return await self._unit.run(work)

    @refusals
    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:
        """Gets a user, disabled or not."""
        tenant_id, names = _tenant(request), [request.user_name]
        user, locks = await self._database.read(
            lambda connection: (
                users.get(connection, tenant_id, request.user_name),
                failures.locks(connection, tenant_id, names),
            )
        )
        return pb.GetUserResponse(user=_shown(user, locks, self._clock.now()))

    @refusals
    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        """Lists users by name."""
        tenant_id = _tenant(request)
        page = page_of(request.page_size, request.page_token, tenant_id)
        after = str(page.after[0]) if page.after else ""
        rows = await self._database.read(
            lambda connection: users.page(connection, tenant_id, after=after, limit=page.size + 1)
        )
        shown, more = rows[: page.size], len(rows) > page.size
        names = [user.user_name for user in shown]
        locks = await self._database.read(lambda connection: failures.locks(connection, tenant_id, names))
        return pb.ListUsersResponse(
            users=[_shown(user, locks, self._clock.now()) for user in shown],
            next_page_token=page.next_token(names[-1:], more=more),
        )

    @refusals
    async def SetUserRoles(self, request: pb.SetUserRolesRequest, context: Context) -> pb.SetUserRolesResponse:
        """Gives a user other roles; the tokens of the old ones are void."""
        roles = tuple(request.roles)
        check_roles(roles)
        return await self._change(
            request,
            lambda user, _, new: user.with_roles(roles, new()),
            lambda user: pb.SetUserRolesResponse(user=user),
        )

    @refusals
    async def SetUserPassword(self, request: pb.SetUserPasswordRequest, context: Context) -> pb.SetUserPasswordResponse:
        """Sets a user's password; tokens from before are void."""
        check_password(request.password, request.user_name)
        return await self._change(
            request,
            lambda user, now, new: user.with_password(now, new()),
            lambda user: pb.SetUserPasswordResponse(user=user),
            password_hash=await self._passwords.hash(request.password),
        )

    @refusals
    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Context) -> pb.ChangePasswordResponse:
        """Changes the password of the user who calls."""
        tenant_id, user_name = calling_user()
        check_password(request.new_password, user_name)
        await self._passwords.user(tenant_id, user_name, request.current_password, password_refused)
        password_hash, drawn = await self._passwords.hash(request.new_password), _draw()

        def work(tx: Transaction) -> pb.ChangePasswordResponse:
            user = users.get(tx.connection, tenant_id, user_name)
            changed = user.with_password(tx.now, new_credential_id(tx.now, drawn))
            _write(tx, user, changed, password_hash)
            return pb.ChangePasswordResponse(user=to_user(changed, None))

        return await self._unit.run(work)

    @refusals
    async def DisableUser(self, request: pb.DisableUserRequest, context: Context) -> pb.DisableUserResponse:
        """Ends a user's sign-in, and makes the tokens void; a disabled one stays as it is."""
        return await self._change(
            request,
            lambda user, now, new: user.disabled(now, new()),
            lambda user: pb.DisableUserResponse(user=user),
        )

    @refusals
    async def EnableUser(self, request: pb.EnableUserRequest, context: Context) -> pb.EnableUserResponse:
        """Lets a user sign in again."""
        return await self._change(
            request, lambda user, _, __: user.enabled(), lambda user: pb.EnableUserResponse(user=user)
        )

    @refusals
    async def UnlockUser(self, request: pb.UnlockUserRequest, context: Context) -> pb.UnlockUserResponse:
        """Forgets a user's wrong passwords, and ends a lock."""
        return await self._change(
            request, lambda user, _, __: user, lambda user: pb.UnlockUserResponse(user=user), unlock=True
        )

    async def _change(
        self,
        request: OfUser,
        change: Change,
        answer: Callable[[user_pb2.User], M],
        *,
        password_hash: str | None = None,
        unlock: bool = False,
    ) -> M:
        """Changes a user in one unit, if the caller may give all the user's roles."""
        tenant_id, drawn = _tenant(request), _draw()

        def work(tx: Transaction) -> M:
            user = users.get(tx.connection, tenant_id, request.user_name)
            check_roles(user.roles)
            changed = change(user, tx.now, lambda: new_credential_id(tx.now, drawn))
            _write(tx, user, changed, password_hash)
            if unlock:
                failures.forget(tx.connection, tenant_id, user.user_name)
            locks = failures.locks(tx.connection, tenant_id, [user.user_name])
            return answer(_shown(changed, locks, tx.now))

        return await self._unit.run(work)


def _tenant(request: OfTenant) -> str:
    return one_tenant_in_reach(request.tenant_id if request.HasField("tenant_id") else None)


def _draw() -> str:
    # Drawn outside of work, which may be repeated and must then come to the same.
    return secrets.token_hex(5)


def _write(tx: Transaction, user: User, changed: User, password_hash: str | None) -> None:
    users.replace(tx.connection, changed, password_hash)
    if changed.credential_id != user.credential_id:
        revocations.add(tx.connection, user.tenant_id, user.credential_id, tx.now)


def _shown(user: User, locks: Mapping[str, datetime], now: datetime) -> user_pb2.User:
    lock_end = locks.get(user.user_name)
    return to_user(user, lock_end if lock_end is not None and now < lock_end else None)
