"""Addresses of Redis' databases."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from trunkline.given import SENTINEL_SCHEME


def database_url(url: str, database: int) -> str:
    """The address with another database."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "db"]
    if parts.scheme == "unix":
        return f"unix://{parts.netloc}{parts.path}?{urlencode([*query, ('db', database)])}"
    if url.startswith(SENTINEL_SCHEME):
        master = parts.path.strip("/").partition("/")[0]
        return urlunsplit(parts._replace(path=f"/{master}/{database}", query=urlencode(query)))
    return urlunsplit(parts._replace(path=f"/{database}", query=urlencode(query)))


def node_url(url: str, host: str, port: int) -> str:
    """The address with another host: of another node of the same cluster, with the same user, password and options."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(
        parts._replace(netloc=f"{user}{at}[{host}]:{port}" if ":" in host else f"{user}{at}{host}:{port}")
    )
