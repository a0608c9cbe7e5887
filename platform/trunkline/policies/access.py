"""Who may call what. Pure: deny by default, judged on the contract alone."""

from __future__ import annotations

from collections.abc import Collection


def may_call(
    access: str,
    scopes: Collection[str],
    *,
    sender_kind: str,
    caller_scopes: Collection[str] | None,
) -> bool:
    """Whether a call is allowed.

    Args:
        access: the contract's: public, authenticated, scopes or service.
        scopes: with access scopes, one of these must be held.
        sender_kind: kind of the token that sent the call; empty without one.
        caller_scopes: scopes of whom access is judged by (the forwarded caller, else the sender); None without one.
    """
    match access:
        case "public":
            return True
        case "authenticated":
            return caller_scopes is not None
        case "scopes":
            return caller_scopes is not None and not set(scopes).isdisjoint(caller_scopes)
        case "service":
            return sender_kind == "service"
        case _:
            return False
