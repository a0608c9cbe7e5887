"""Refusals whose cause is for the audit log, and never for the caller."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
from trunkline.errors import ServiceError


@dataclass(eq=False)
class CredentialRefused(ServiceError):
    """One text to the caller, whatever is wrong."""

    why: str = field(default="", kw_only=True)
    """What was wrong, in words of ours. It names whom it concerns only if there is such a key or user: an id that
    nobody has may be a secret in the wrong place."""


def credential_invalid(why: str) -> CredentialRefused:
    """UNAUTHENTICATED / CREDENTIAL_INVALID: of a credential, or of a name and a password."""
    code = grpc.StatusCode.UNAUTHENTICATED
    return CredentialRefused(code, "CREDENTIAL_INVALID", "the credential is not valid", why=why)


def password_refused(why: str) -> CredentialRefused:
    """PERMISSION_DENIED / PASSWORD_REFUSED: of the password of somebody who has signed in."""
    code = grpc.StatusCode.PERMISSION_DENIED
    return CredentialRefused(code, "PASSWORD_REFUSED", "the current password is not valid", why=why)
