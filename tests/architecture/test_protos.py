"""The contracts say what every call needs: policy, repeatability, errors, constraints; and every event its topic."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import protovalidate
import pytest
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from pos.account.v1 import account_service_pb2 as account
from pos.account.v1.api_key_pb2 import ApiKey
from pos.cart.v1 import cart_service_pb2 as cart
from pos.item.v1 import item_service_pb2 as item
from pos.report.v1 import report_service_pb2 as report
from pos.stock.v1 import stock_service_pb2 as stock
from pos.stock.v1.stock_pb2 import Movement
from pos.store.v1 import settings_service_pb2 as settings
from pos.store.v1 import staff_service_pb2 as staff
from pos.type.v1.date_pb2 import Date
from pos.type.v1.money_pb2 import Money
from pos.type.v1.report_kind_pb2 import REPORT_KIND_FLASH
from trunk.event.v1 import envelope_pb2
from trunk.policy.v1 import policy_pb2

ROOT = Path(__file__).resolve().parents[2]
SECRET_NAMES = {"pin", "secret", "credential", "token", "password"}
PAGE_TOKENS = {"page_token", "next_page_token"}
SHARED_REASONS = ("pos.type.v1", "trunk.policy.v1")
CODE_AND_REASON = re.compile(r"\b([A-Z][A-Z_]+)/([A-Z][A-Z_]+)\b")
TOPICS = {
    "pos.event.v1.TransactionLog": ("tranlog", "cart", ["report", "journal", "stock"]),
    "pos.event.v1.CashLog": ("cashlog", "terminal", ["report", "journal"]),
    "pos.event.v1.OpenCloseLog": ("opencloselog", "terminal", ["report", "journal"]),
    "pos.event.v1.ReportLog": ("reportlog", "report", ["journal"]),
}

File = descriptor_pb2.FileDescriptorProto


def ours(files: descriptor_pb2.FileDescriptorSet) -> list[File]:
    """The files of our own packages."""
    return [file for file in files.file if file.package.startswith(("pos.", "trunk."))]


@cache
def committed() -> list[File]:
    """Our files as the committed descriptors have them; they carry no comments."""
    return ours(descriptor_pb2.FileDescriptorSet.FromString((ROOT / "gen" / "descriptors.binpb").read_bytes()))


@cache
def sources() -> list[File]:
    """Our files as they stand in protos/, with comments."""
    command = [str(Path(sys.executable).parent / "buf"), "build", "--as-file-descriptor-set", "-o", "-"]
    built = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return ours(descriptor_pb2.FileDescriptorSet.FromString(built.stdout))


def comment(file: File, *path: int) -> str:
    """The leading comment of what stands at a path of the file's descriptor."""
    found = [place.leading_comments for place in file.source_code_info.location if list(place.path) == list(path)]
    return " ".join(found[0].split()) if found else ""


def rpcs(files: list[File]) -> Iterator[tuple[str, descriptor_pb2.MethodDescriptorProto]]:
    """Every rpc with its full name."""
    for file in files:
        for service in file.service:
            for method in service.method:
                yield f"{file.package}.{service.name}.{method.name}", method


def rpc_comments(file: File) -> Iterator[tuple[str, str]]:
    """The comment of every service and rpc of a file, by name."""
    for at, service in enumerate(file.service):
        yield service.name, comment(file, 6, at)
        for number, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", comment(file, 6, at, 2, number)


@cache
def reasons() -> dict[str, dict[str, str]]:
    """The comments of all error reasons, by package and reason."""
    found: dict[str, dict[str, str]] = {}
    for file in sources():
        for at, enum in enumerate(file.enum_type):
            if enum.name == "ErrorReason":
                found[file.package] = {
                    value.name.removeprefix("ERROR_REASON_"): comment(file, 5, at, 2, number)
                    for number, value in enumerate(enum.value)
                }
    return found


def messages(files: list[File]) -> Iterator[Descriptor]:
    """Every message, nested ones included."""

    def walk(descriptor: Descriptor) -> Iterator[Descriptor]:
        yield descriptor
        for nested in descriptor.nested_types:
            yield from walk(nested)

    for file in files:
        module = importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
        for descriptor in module.DESCRIPTOR.message_types_by_name.values():
            yield from walk(descriptor)


def violations(message: Message) -> list[str]:
    """The rules that a message breaks."""
    return [violation.proto.rule_id for violation in protovalidate.collect_violations(message)]


def test_every_rpc_says_how_it_behaves() -> None:
    """Every rpc has a deadline, an access, a repeatability, and scopes exactly where its access is by scope."""
    found = list(rpcs(committed()))
    assert found
    for name, method in found:
        policy = method.options.Extensions[policy_pb2.call]
        assert policy.deadline.ToTimedelta().total_seconds() > 0, name
        assert policy.access != policy_pb2.CallPolicy.ACCESS_UNSPECIFIED, name
        assert bool(policy.scopes) == (policy.access == policy_pb2.CallPolicy.ACCESS_SCOPES), name
        assert method.options.idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN, name


def test_verbs_tell_reads_from_changes() -> None:
    """A retail rpc has no side effects exactly if its name begins with a reading verb."""
    for name, method in rpcs(committed()):
        if name.startswith("pos."):
            reads = method.name.startswith(("Get", "List", "BatchGet", "Verify"))
            assert reads == (method.options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS), name


def test_every_rpc_is_described_with_its_errors() -> None:
    """Every service and rpc has a leading comment, and an rpc's comment names its errors."""
    for file in sources():
        for name, text in rpc_comments(file):
            assert text, f"{file.package}.{name}"
            assert "." not in name or "Errors" in text, f"{file.package}.{name}"


def test_every_package_with_services_has_reasons() -> None:
    """Every package with a service, and the two that all share, declare why calls fail."""
    packages = {file.package for file in sources() if file.service}
    assert packages | {"pos.type.v1", "pos.event.v1"} <= reasons().keys()


def test_errors_in_comments_are_declared_reasons() -> None:
    """Every CODE/REASON in a comment is a reason in reach of the package, declared with that code."""
    for file in sources():
        for name, text in rpc_comments(file):
            for code, reason in CODE_AND_REASON.findall(text):
                declared = [reasons()[package].get(reason) for package in (file.package, *SHARED_REASONS)]
                assert any(code in description for description in declared if description), (name, code, reason)


def test_every_reason_of_a_retail_service_is_given_by_an_rpc() -> None:
    """No reason of a retail service is declared that no comment of its package names."""
    for package in {file.package for file in sources() if file.service and file.package.startswith("pos.")}:
        texts = [text for file in sources() if file.package == package for _, text in rpc_comments(file)]
        named = {reason for text in texts for _, reason in CODE_AND_REASON.findall(text)}
        assert reasons()[package].keys() - {"UNSPECIFIED"} <= named, package


def test_secrets_are_redacted() -> None:
    """Every field that is a PIN, a secret, a credential or a token carries debug_redact."""
    fields = [field for message in messages(committed()) for field in message.fields]
    secrets = [field for field in fields if field.name.split("_")[-1] in SECRET_NAMES and field.name not in PAGE_TOKENS]
    assert secrets
    assert [field.full_name for field in secrets if not field.GetOptions().debug_redact] == []


def test_topics_are_those_of_the_design() -> None:
    """The events, their topics, publishers and consumer groups are exactly the ones of the table."""
    found = {}
    for message in messages(committed()):
        if message.GetOptions().HasExtension(envelope_pb2.topic):
            topic = message.GetOptions().Extensions[envelope_pb2.topic]
            found[message.full_name] = (topic.name, topic.publisher, list(topic.groups))
    assert found == TOPICS


def test_every_constraint_compiles() -> None:
    """No message carries a constraint that the validator cannot evaluate."""
    for descriptor in messages(sources()):
        message = message_factory.GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if field.message_type is not None and not field.is_repeated:
                getattr(message, field.name).SetInParent()
        protovalidate.collect_violations(message)


YEN = Money(currency_code="JPY", minor_units=1)
DAY = Date(year=2026, month=3, day=1)
LINE = cart.AddLinesRequest.NewLine(item_code="a", quantity=1)


@pytest.mark.parametrize(
    ("message", "broken"),
    [
        (account.GetTenantRequest(), []),
        (account.GetTenantRequest(tenant_id="Acme"), ["string.pattern"]),
        (account.CreateApiKeyRequest(kind=ApiKey.KIND_TERMINAL, store_code="1", terminal_no=1), []),
        (account.CreateApiKeyRequest(kind=ApiKey.KIND_TERMINAL, store_code="1"), ["api_key.terminal"]),
        (account.CreateApiKeyRequest(kind=ApiKey.KIND_ADMIN, terminal_no=1), ["api_key.terminal"]),
        (account.CreateApiKeyRequest(kind=ApiKey.KIND_SERVICE), ["api_key.service"]),
        (cart.AddLinesRequest(cart_id="c", lines=[LINE]), []),
        (cart.AddLinesRequest(cart_id="c"), ["repeated.min_items"]),
        (cart.AddLinesRequest(cart_id="c", lines=[LINE] * 101), ["repeated.max_items"]),
        (cart.ChangeLineQuantityRequest(cart_id="c", line_no=1, quantity=1_000_001), ["int32.gte_lte"]),
        (cart.AddPaymentRequest(cart_id="c", payment_method_code="cash", deposit=YEN), []),
        (cart.AddPaymentRequest(cart_id="c", payment_method_code="cash"), ["required"]),
        (
            cart.AddPaymentRequest(cart_id="c", payment_method_code="cash", deposit=Money(currency_code="JPY")),
            ["money.positive"],
        ),
        (item.SetStorePriceRequest(item_code="a", store_code="1", price=Money(currency_code="JPY")), []),
        (item.BatchGetItemsRequest(store_code="1", item_codes=["a", "a"]), ["repeated.unique"]),
        (item.ListItemsRequest(page_size=501), ["int32.gte_lte"]),
        (report.GetSalesReportRequest(kind=REPORT_KIND_FLASH, store_code="1", business_date=DAY), []),
        (report.GetSalesReportRequest(kind=REPORT_KIND_FLASH, store_code="1"), ["report.period"]),
        (
            report.GetSalesReportRequest(kind=REPORT_KIND_FLASH, store_code="1", from_business_date=DAY),
            ["report.range"],
        ),
        (settings.GetSettingRequest(key="receipt_header", terminal_no=1), ["setting.terminal_in_store"]),
        (staff.UpdateStaffRequest(staff_id="s"), []),
        (staff.UpdateStaffRequest(staff_id="s", pin=""), ["string.pattern"]),
        (
            stock.RecordMovementRequest(store_code="1", item_code="a", kind=Movement.KIND_DAMAGE, quantity=-1),
            ["movement.quantity"],
        ),
        (
            stock.RecordMovementRequest(store_code="1", item_code="a", kind=Movement.KIND_SALE, quantity=1),
            ["enum.not_in"],
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Message) else "+".join(value) or "valid",
)
def test_constraints_hold(message: Message, broken: list[str]) -> None:
    """A request is refused for exactly the rules it breaks."""
    assert violations(message) == broken
