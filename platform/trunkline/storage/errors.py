"""Why a service may not start on its database."""

from __future__ import annotations


class DatabaseRefused(Exception):
    """The database may not be used as it is. Its text is one line for the operator, with the way out."""
