"""Makes what a system needs before anybody can call: its tenant, and the credentials of services and people.

Every step has a fixed idempotency key, so that after any crash the whole is simply repeated.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message
from pos.account.v1 import account_service_pb2 as pb
from pos.account.v1.account_service_pb2_grpc import AccountServiceStub
from pos.account.v1.api_key_pb2 import ApiKey
from pos.account.v1.tenant_pb2 import Tenant
from trunkline.auth.files import write_private
from trunkline.errors import ServiceError
from trunkline.registry.system import RunningSystem
from trunkline.settings import PlatformSettings

from deploy.local.calls import Caller, surely
from deploy.local.system import OPERATOR, SERVICES, credentials_dir

A = TypeVar("A")


def root_credential(var_dir: Path) -> Path:
    """The file that account made at its first start, with the credential that makes all others."""
    return var_dir / "account" / "root.credential"


def fixed_key(name: str, request: Message) -> str:
    """The idempotency key of a step: the same for the same request, in every run."""
    content = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
    return f"bootstrap/{name}/{content[:16]}"


async def ensure(name: str, method: Callable[..., Awaitable[Any]], request: Message) -> None:
    """Creates something unless it is there: by an earlier run, or in another shape by an earlier release."""
    try:
        await surely(method, request, key=fixed_key(name, request))
    except ServiceError as error:
        if not error.reason.endswith("_EXISTS"):
            raise


class Credentials:
    """Credential files of one folder; missing ones are asked of the account service."""

    def __init__(self, caller: Caller, directory: Path) -> None:
        self._stub = AccountServiceStub(caller.channel("account"))
        self._directory = directory

    def path(self, name: str) -> Path:
        """File of a credential."""
        return self._directory / name

    async def ensure(self, name: str, request: pb.CreateApiKeyRequest) -> None:
        """Makes a key and writes its credential, unless the file is there."""
        while not self.path(name).exists():
            number = self._numbers().get(name, 1)
            try:
                answer = await surely(
                    self._stub.CreateApiKey, request, key=fixed_key(f"credential/{name}/{number}", request)
                )
            except ServiceError as error:
                if error.reason != "ANSWER_EXPIRED":
                    raise
                # Made by a run that died before it wrote the file, and not told again: make another.
                self._write_numbers({**self._numbers(), name: number + 1})
            else:
                await asyncio.to_thread(write_private, self.path(name), f"{answer.credential}\n".encode())

    @property
    def _numbers_file(self) -> Path:
        return self._directory / "numbers.json"

    def _numbers(self) -> dict[str, int]:
        try:
            return dict(json.loads(self._numbers_file.read_text()))
        except FileNotFoundError:
            return {}

    def _write_numbers(self, numbers: dict[str, int]) -> None:
        write_private(self._numbers_file, json.dumps(numbers).encode())


async def bootstrap(system: RunningSystem, settings: PlatformSettings, tenant: Tenant, admin: str) -> None:
    """Makes the services' credentials, a tenant, and the credential of its back office under the name of admin."""
    async with Caller.from_file(system, settings, root_credential(settings.var_dir)) as root:
        credentials = Credentials(root, credentials_dir(settings.var_dir))
        for name in (*SERVICES, OPERATOR):
            request = pb.CreateApiKeyRequest(kind=ApiKey.KIND_SERVICE, service_name=name, description=f"service {name}")
            await credentials.ensure(name, request)
        accounts = AccountServiceStub(root.channel("account"))
        await ensure(f"tenant/{tenant.tenant_id}", accounts.CreateTenant, pb.CreateTenantRequest(tenant=tenant))
        request = pb.CreateApiKeyRequest(kind=ApiKey.KIND_ADMIN, tenant_id=tenant.tenant_id, description="back office")
        await credentials.ensure(admin, request)
