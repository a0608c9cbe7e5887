"""Failures of the domain: what a caller did wrong, in words that no transport knows."""

from __future__ import annotations


class DomainFailure(Exception):
    """A request that the rules refuse.

    Args:
        reason: Stable UPPER_SNAKE name that callers branch on.
        message: What happened, for developers; free to change.
        metadata: Every dynamic part of the message, so that nobody parses prose.
    """

    def __init__(self, reason: str, message: str, /, **metadata: object) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.metadata = {name: str(value) for name, value in metadata.items()}


class InvalidInput(DomainFailure):
    """What was asked for could not be right in any state."""


class WrongState(DomainFailure):
    """The thing asked for is not in a state that allows the request."""


class Refused(DomainFailure):
    """The request is well-formed and timely, and a rule of the shop forbids it as things stand."""


class NotFound(DomainFailure):
    """There is no such thing in reach of the caller."""


class AlreadyExists(DomainFailure):
    """A thing with this identity exists."""


class Conflict(DomainFailure):
    """Somebody else has changed the thing meanwhile; nothing was done."""
