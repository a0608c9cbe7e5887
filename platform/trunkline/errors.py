"""The one exception of the platform, and its form on the wire (google.rpc.Status with one ErrorInfo, AIP-193)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from trunkline import headers

PLATFORM_DOMAIN = "trunk"
"""ErrorInfo domain of failures that the platform itself reports."""
TEXT_LIMIT_BYTES = 512
"""Longest message, value or description that is sent: trailers beyond 8 KB may be refused by the client's gRPC."""
STATUS_LIMIT_BYTES = 4096
"""Longest google.rpc.Status that is sent; metadata and violations that do not fit are left out."""
Trailers = tuple[tuple[str, str | bytes], ...]
"""Trailing metadata."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that breaks its contract."""

    field: str
    """Path of the field, such as `lines[0].quantity`."""
    description: str
    """What is wrong with it, in English."""


@dataclass(eq=False)
class ServiceError(Exception):
    """A failure a caller may act on. Raised by handlers; what a stub of `connect()` raises is the same."""

    code: grpc.StatusCode
    """Status of the call."""
    reason: str
    """UPPER_SNAKE, stable: a value of the package's ErrorReason without its prefix. Callers branch on it."""
    message: str
    """For developers, in English; free to change."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Every dynamic part of message, so that nobody parses prose."""
    domain: str = field(default="", kw_only=True)
    """Package whose reason it is; empty is filled in by the server."""
    violations: Sequence[Violation] = field(default=(), kw_only=True)
    """Fields that break the contract (google.rpc.BadRequest)."""
    retry_after_s: float | None = field(default=None, kw_only=True)
    """Seconds after which another attempt may succeed (google.rpc.RetryInfo); negative: never; None: not known."""
    exhausted: bool = field(default=False, kw_only=True)
    """A lower hop retried this to the end; nobody above should."""

    def __str__(self) -> str:
        where = f"{self.domain}/" if self.domain else ""
        return f"{self.code.name} {where}{self.reason}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes ServiceErrors of one code: `not_found("ITEM_UNKNOWN", "no such item", item_code="A-1")`."""

    code: grpc.StatusCode

    def __call__(self, reason: str, message: str, /, **metadata: str) -> ServiceError:
        return ServiceError(self.code, reason, message, metadata)


invalid_argument = _Maker(grpc.StatusCode.INVALID_ARGUMENT)
failed_precondition = _Maker(grpc.StatusCode.FAILED_PRECONDITION)
not_found = _Maker(grpc.StatusCode.NOT_FOUND)
already_exists = _Maker(grpc.StatusCode.ALREADY_EXISTS)
permission_denied = _Maker(grpc.StatusCode.PERMISSION_DENIED)
unauthenticated = _Maker(grpc.StatusCode.UNAUTHENTICATED)
unavailable = _Maker(grpc.StatusCode.UNAVAILABLE)
aborted = _Maker(grpc.StatusCode.ABORTED)
resource_exhausted = _Maker(grpc.StatusCode.RESOURCE_EXHAUSTED)


def platform_error(
    code: grpc.StatusCode, reason: str, message: str, *, retry_after_s: float | None = None, **metadata: str
) -> ServiceError:
    """A failure that the platform reports, with a reason of trunk.policy.v1.ErrorReason."""
    return ServiceError(code, reason, message, metadata, domain=PLATFORM_DOMAIN, retry_after_s=retry_after_s)


def to_status(error: ServiceError) -> status_pb2.Status:
    """The google.rpc.Status of an error, short enough for a header frame."""
    metadata = _fitting(error.metadata)
    details = [_pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=error.domain, metadata=metadata))]
    if error.retry_after_s is not None and error.retry_after_s >= 0:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    status = status_pb2.Status(code=error.code.value[0], message=bounded(error.message), details=details)
    if error.violations:
        status.details.append(_pack(_bad_request(error.violations, STATUS_LIMIT_BYTES - status.ByteSize())))
    return status


def bounded(text: str) -> str:
    """The text, cut where it is too long to be sent."""
    return text.encode(errors="replace")[:TEXT_LIMIT_BYTES].decode(errors="ignore")


def _fitting(metadata: Mapping[str, str]) -> dict[str, str]:
    """As much of it as half of a status holds; what comes last is left out."""
    found: dict[str, str] = {}
    room_bytes = STATUS_LIMIT_BYTES // 2
    for name, value in metadata.items():
        text = bounded(value)
        room_bytes -= len(name.encode(errors="replace")) + len(text.encode(errors="replace")) + 8
        if room_bytes < 0 and found:
            break
        found[name] = text
    return found


def _bad_request(violations: Sequence[Violation], room_bytes: int) -> error_details_pb2.BadRequest:
    request = error_details_pb2.BadRequest()
    for violation in violations:
        one = error_details_pb2.BadRequest.FieldViolation(
            field=bounded(violation.field), description=bounded(violation.description)
        )
        if request.field_violations and request.ByteSize() + one.ByteSize() > room_bytes:
            break
        request.field_violations.append(one)
    return request


def trailers_of(error: ServiceError) -> Trailers:
    """The trailing metadata that carries an error: its status, push-back and mark of exhaustion."""
    trailers: list[tuple[str, str | bytes]] = [(headers.STATUS_DETAILS, to_status(error).SerializeToString())]
    if error.retry_after_s is not None:
        trailers.append((headers.PUSHBACK_MS, str(round(error.retry_after_s * 1000))))
    if error.exhausted:
        trailers.append((headers.RETRY_EXHAUSTED, "1"))
    return tuple(trailers)


def from_call(
    code: grpc.StatusCode, details: str | None, trailers: Iterable[tuple[str, str | bytes]] | None
) -> ServiceError:
    """The error that a failed call carries. A peer that sends no ErrorInfo gives reason "" and its code."""
    found = dict(trailers or ())
    error = ServiceError(code, "", details or "")
    error.exhausted = headers.RETRY_EXHAUSTED in found
    raw = found.get(headers.STATUS_DETAILS)
    if isinstance(raw, bytes):
        # Details that cannot be read still leave the code and the text.
        with suppress(DecodeError):
            _fill(error, status_pb2.Status.FromString(raw))
    if headers.PUSHBACK_MS in found:
        error.retry_after_s = _pushback_s(str(found[headers.PUSHBACK_MS]))
    return error


def _pushback_s(value: str) -> float:
    # gRFC A6: negative or unparseable means "do not retry".
    return int(value) / 1000 if value.isascii() and value.isdecimal() and len(value) < 10 else -1.0


def _fill(error: ServiceError, status: status_pb2.Status) -> None:
    error.message = status.message
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            error.reason, error.domain, error.metadata = info.reason, info.domain, dict(info.metadata)
        elif detail.Unpack(bad):
            error.violations = [Violation(one.field, one.description) for one in bad.field_violations]
        elif detail.Unpack(retry):
            error.retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9


def _pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
