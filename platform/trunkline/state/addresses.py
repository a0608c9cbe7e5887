"""Addresses of Redis' databases."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def database_url(url: str, database: int) -> str:
    """The address with another database."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "db"]
    if parts.scheme == "unix":
        return f"unix://{parts.netloc}{parts.path}?{urlencode([*query, ('db', database)])}"
    return urlunsplit(parts._replace(path=f"/{database}", query=urlencode(query)))
