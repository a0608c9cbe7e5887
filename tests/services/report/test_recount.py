"""Running figures equal a recount of what was received."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from pos.event.v1.transaction_log_pb2 import TransactionLog
from pos.type.v1 import tax_kind_pb2, tender_kind_pb2
from pos.type.v1 import transaction_kind_pb2 as kinds
from trunkline.testing.clock import FakeClock

from services.report.consumers.handlers import HANDLERS
from services.report.consumers.recount import recount
from services.report.domain.figures import FigureName
from services.report.storage.figures import running
from services.report.storage.tables import METADATA, PLATFORM
from tests.services.logs import DAY, cash, payment, transaction
from tests.services.received import Group, Numbers, fresh

KINDS = [number for number in kinds.TransactionKind.values() if number]
TENDERS = {"01": tender_kind_pb2.TENDER_KIND_CASH, "11": tender_kind_pb2.TENDER_KIND_CASHLESS}
LINE = st.tuples(
    st.integers(1, 9), st.integers(0, 500), st.integers(0, 20), st.booleans(), st.sampled_from(["01", "02"])
)
EVENT = st.tuples(
    st.sampled_from([*KINDS, "cash"]),
    st.sampled_from(["acme", "other"]),
    st.integers(1, 2),  # terminal
    st.integers(1, 2),  # opening
    st.integers(0, 1),  # day
    st.lists(LINE, min_size=1, max_size=3),
    st.sampled_from(sorted(TENDERS)),
)


def traded(number: int, kind, terminal_no: int, opening: int, day: int, lines, tender: str) -> TransactionLog:
    """A transaction of these lines whose totals agree."""
    where = {"terminal_no": terminal_no, "open_counter": opening, "business_counter": 2 * day + opening}
    log = transaction(number, kind, day=DAY + timedelta(days=day), **where)
    for field in ("lines", "taxes", "payments", "subtotal_discount_minor_units"):
        log.ClearField(field)
    targets: dict[str, int] = {}
    for line_no, (quantity, price, discount, cancelled, tax_code) in enumerate(lines, 1):
        amount, off = price * quantity, min(discount, price * quantity)
        log.lines.add(
            line_no=line_no, tax_code=tax_code, quantity=quantity, unit_price_minor_units=price,
            line_discount_minor_units=off, amount_minor_units=amount - off, cancelled=cancelled,
        )  # fmt: skip
        if not cancelled:
            targets[tax_code] = targets.get(tax_code, 0) + amount - off
    for tax_code, target in sorted(targets.items()):
        tax_kind = tax_kind_pb2.TAX_KIND_EXTERNAL if tax_code == "01" else tax_kind_pb2.TAX_KIND_INTERNAL
        log.taxes.add(
            tax_code=tax_code, kind=tax_kind, rate_bps=1000, target_minor_units=target,
            amount_minor_units=target // (10 if tax_code == "01" else 11),
        )  # fmt: skip
    external = sum(tax.amount_minor_units for tax in log.taxes if tax.tax_code == "01")
    log.total_minor_units = sum(targets.values())
    log.total_with_tax_minor_units = log.total_minor_units + external
    log.quantity = sum(line.quantity for line in log.lines if not line.cancelled)
    if kind != kinds.TRANSACTION_KIND_CANCELLED_SALE and log.total_with_tax_minor_units:
        log.payments.append(payment(log.total_with_tax_minor_units, tender, TENDERS[tender]))
    return log


@settings(max_examples=60, deadline=None)
@given(trade=st.lists(EVENT, max_size=12))
def test_running_figures_equal_a_recount(trade):
    """After any trade, each tenant's figures are those counted from its logs, and net + tax is what was paid."""
    numbers, group = Numbers(), Group(PLATFORM, "report", HANDLERS, FakeClock())
    with fresh(METADATA) as connection:
        for number, (kind, tenant_id, terminal_no, opening, day, lines, tender) in enumerate(trade, 1):
            where = (terminal_no, opening, day)
            log = _cash(number, *where, lines) if kind == "cash" else traded(number, kind, *where, lines, tender)
            group.apply(connection, numbers.envelope(log, tenant_id))
        for tenant_id in ("acme", "other"):
            figures = running(connection, tenant_id)
            assert figures == recount(connection, tenant_id)
            assert _sum(figures, GROSS, OFF, RETURNS) == _sum(figures, {FigureName.PAYMENT: 1})


def test_two_tills_in_one_store_add_up():
    """Figures are kept per opening, so that none of them is another's."""
    numbers, group = Numbers(), Group(PLATFORM, "report", HANDLERS, FakeClock())
    with fresh(METADATA) as connection:
        group.apply(connection, *(numbers.envelope(transaction(terminal_no=number)) for number in (1, 2)))
        counted = recount(connection, "acme")
        assert running(connection, "acme") == counted
        assert {key[2] for key in counted} == {1, 2}


GROSS = {FigureName.GROSS: 1}
OFF = {FigureName.LINE_DISCOUNTS: -1, FigureName.SUBTOTAL_DISCOUNTS: -1}
RETURNS = {FigureName.RETURNS: -1}


def _cash(number: int, terminal_no: int, opening: int, day: int, lines):
    return cash(
        number,
        100 if lines[0][3] else -100,
        day=DAY + timedelta(days=day),
        terminal_no=terminal_no,
        open_counter=opening,
        business_counter=2 * day + opening,
    )


def _sum(figures, *signs: dict[FigureName, int]) -> int:
    wanted = {name: sign for one in signs for name, sign in one.items()}
    return sum(wanted[key[4].name] * figure.amount for key, figure in figures.items() if key[4].name in wanted)
