"""Passwords inside addresses, hidden before anybody prints them."""

from __future__ import annotations

import re

_SECRETS = (re.compile(r"(://[^:/@\s]*:)\S*(@)"), re.compile(r"([?&]password=)[^&\s]*()"))


def redacted(text: str) -> str:
    """The text without the passwords of addresses in it."""
    for secret in _SECRETS:
        text = secret.sub(r"\1***\2", text)
    return text
