"""`trunkline token`: a bearer token, to be used with buf curl or grpcurl."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.running import CommandError, running_system, settings


def token(
    name: Annotated[str, typer.Option("--as", help="Whom to act as; by default the first that the system names.")] = "",
) -> None:
    """Print a token: `buf curl -H "authorization: Bearer $(trunkline token)" ...`."""
    import asyncio

    from trunkline.auth.credential_file import CredentialFile
    from trunkline.client import exchange
    from trunkline.telemetry.quiet import quieten_logs

    quieten_logs()
    path = _credential_file(running_system().credentials, name)
    credential = CredentialFile(path).read()
    if not credential:
        raise CommandError(f"{path} holds no credential yet: the shop is being opened, or `make reset` helps")
    found, _ = asyncio.run(exchange(credential, settings=settings()))
    print(found)


def _credential_file(credentials: dict[str, str], name: str) -> Path:
    if not credentials:
        raise CommandError("the system that runs here names nobody to act as")
    name = name or next(iter(credentials))
    if name not in credentials:
        raise CommandError(f"nobody is called {name} here; there are {', '.join(credentials)}")
    return Path(credentials[name])
