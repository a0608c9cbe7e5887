"""The sales report."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.tax_kind import TaxKind
from services.kernel.tender_kind import TenderKind
from services.kernel.transaction_kind import TransactionKind
from services.report.domain.contribution import contribution_of, contribution_of_cash
from services.report.domain.figures import NOTHING, Figure, FigureKey, FigureName
from services.report.domain.received import ReceivedCashMovement, ReceivedTax, ReceivedTransaction
from services.report.domain.sales import compose, share_bps
from tests.services.report.domain.takings import (
    EXAMPLE,
    card,
    cash,
    line,
    payment,
    report_of,
    sums_of,
    undone,
)

RETURN, VOID_SALE, VOID_RETURN = TransactionKind.RETURN, TransactionKind.VOID_SALE, TransactionKind.VOID_RETURN


def test_the_example_sale():
    """The sale of the rules' example gives their figures, each with the units of the lines it concerns."""
    report = report_of(EXAMPLE)
    assert report.gross == Figure(816, 5, 1)
    assert report.line_discounts == Figure(70, 5, 1)
    assert report.subtotal_discounts == Figure(100, 5, 1)
    assert report.returns == NOTHING
    assert report.tax == Figure(58, 5, 1)
    assert report.net == Figure(588, 5, 1)
    assert [(row.tax_code, row.target, row.amount) for row in report.taxes] == [("01", 164, 16), ("02", 466, 42)]
    assert [(row.payment_method_code, row.amount, row.count, row.share_bps) for row in report.payments] == [
        ("cash", 646, 1, 10_000)
    ]
    assert (report.cash_drawer.expected, report.transaction_count) == (646, 1)


def test_the_example_after_its_return():
    """A returned sale keeps gross and discounts; the return stands against it, and nothing is left net."""
    report = report_of(EXAMPLE, undone(EXAMPLE, RETURN))
    assert report.gross == Figure(816, 5, 1)
    assert report.line_discounts == Figure(70, 5, 1)
    assert report.subtotal_discounts == Figure(100, 5, 1)
    assert report.returns == Figure(646, 5, 1)
    assert (report.net, report.tax) == (NOTHING, NOTHING)
    assert (report.taxes, report.payments, report.cash_drawer.expected) == ((), (), 0)
    assert report.transaction_count == 2


@pytest.mark.parametrize(
    "transactions",
    [
        [EXAMPLE, undone(EXAMPLE, VOID_SALE)],
        [EXAMPLE, undone(EXAMPLE, RETURN), undone(EXAMPLE, VOID_RETURN), undone(EXAMPLE, VOID_SALE)],
    ],
)
def test_the_example_after_its_void(transactions):
    """A voided sale leaves nothing in any figure, after a return that was voided too."""
    report = report_of(*transactions)
    for figure in (report.gross, report.line_discounts, report.subtotal_discounts, report.returns, report.tax):
        assert figure == NOTHING
    assert (report.net, report.taxes, report.payments, report.cash_drawer.expected) == (NOTHING, (), (), 0)
    assert report.transaction_count == len(transactions)


def test_a_return_to_another_tender():
    """Money that went back another way shows in both tenders."""
    report = report_of(EXAMPLE, replace(undone(EXAMPLE, RETURN), payments=(card(646),)))
    assert [(row.payment_method_code, row.amount, row.count, row.share_bps) for row in report.payments] == [
        ("card", -646, -1, 0), ("cash", 646, 1, 0),
    ]  # fmt: skip
    assert report.cash_drawer.expected == 646


def test_cancelled_sales_count_nowhere():
    """A cancelled sale is received, and is in no figure."""
    contribution = contribution_of(undone(EXAMPLE, TransactionKind.CANCELLED_SALE))
    assert contribution.figures == {FigureKey(FigureName.TRANSACTIONS): Figure(count=1)}
    assert (contribution.taxes, contribution.tenders) == ({}, {})


def test_units_are_those_of_the_lines_concerned():
    """Line discounts count the discounted lines, taxes the taxed ones, the rest the whole transaction."""
    sale = ReceivedTransaction(
        kind=TransactionKind.SALE,
        lines=(line("00", 4, 400), line("01", 2, 180, line_discount=20), line("01", 1, 100)),
        taxes=(
            ReceivedTax(tax_code="00", kind=TaxKind.EXEMPT, rate_bps=0, target=400, amount=0),
            ReceivedTax(tax_code="01", kind=TaxKind.EXTERNAL, rate_bps=1000, target=280, amount=28),
        ),
        payments=(cash(700), card(8)),
        subtotal_discount=0,
        total_with_tax=708,
        quantity=7,
    )
    report = report_of(sale)
    assert report.line_discounts == Figure(20, 2, 1)
    assert report.subtotal_discounts == NOTHING
    assert report.tax == Figure(28, 3, 1)
    assert report.gross == Figure(728, 7, 1)
    assert [(row.tax_code, row.target, row.amount) for row in report.taxes] == [("00", 400, 0), ("01", 280, 28)]
    assert [(row.payment_method_code, row.share_bps) for row in report.payments] == [("card", 113), ("cash", 9887)]


def test_payments_are_counted_one_by_one():
    """Two payments with one tender count two, and the void of their sale takes both back."""
    sale = replace(EXAMPLE, payments=(cash(600), cash(46)))
    assert [(row.amount, row.count) for row in report_of(sale).payments] == [(646, 2)]
    assert report_of(sale, undone(sale, VOID_SALE)).payments == ()


@pytest.mark.parametrize(
    ("amount", "total", "share"),
    [(1, 3, 3333), (2, 3, 6667), (1, 16, 625), (1, 20_000, 1), (-5, 100, -500), (5, 0, 0), (5, -100, 0), (0, 7, 0)],
)
def test_shares_are_half_up(amount, total, share):
    """A share is rounded half-up to a basis point, and nothing where there is no positive total."""
    assert share_bps(amount, total) == share


def test_the_drawer_expects_cash_and_its_movements():
    """Cash in, cash out and cash applied make up the drawer; what was counted is set against it."""
    float_in = contribution_of_cash(ReceivedCashMovement(kind=CashMovementKind.CASH_IN, amount=10_000))
    more_in = contribution_of_cash(ReceivedCashMovement(kind=CashMovementKind.CASH_IN, amount=500))
    out = contribution_of_cash(ReceivedCashMovement(kind=CashMovementKind.CASH_OUT, amount=-3_000))
    sold = contribution_of(replace(EXAMPLE, payments=(cash(600), payment("voucher", 46, TenderKind.OTHER))))
    drawer = compose(sums_of(float_in, more_in, out, sold), sold.taxes, sold.tenders, 8_090).cash_drawer
    assert drawer.expected == 8_100
    assert (drawer.cash_in, drawer.cash_out) == (Figure(10_500, 0, 2), Figure(-3_000, 0, 1))
    assert (drawer.counted, drawer.difference) == (8_090, -10)


def test_without_a_count_there_is_no_difference():
    """A drawer that was not counted shows what is expected only."""
    drawer = report_of(EXAMPLE).cash_drawer
    assert (drawer.expected, drawer.counted, drawer.difference) == (646, None, None)


def test_a_report_of_nothing_is_nothing():
    """Where nothing was received every figure is 0."""
    report = report_of()
    assert (report.gross, report.net, report.taxes, report.payments, report.transaction_count) == (
        NOTHING, NOTHING, (), (), 0,
    )  # fmt: skip


KINDS = st.sampled_from([TransactionKind.SALE, RETURN, VOID_SALE, VOID_RETURN, TransactionKind.CANCELLED_SALE])


@st.composite
def transactions(draw):
    """A transaction whose numbers agree with each other."""
    lines = tuple(
        line(
            draw(st.sampled_from(["01", "02"])),
            draw(st.integers(1, 9)),
            draw(st.integers(0, 999)),
            line_discount=draw(st.integers(0, 99)),
            cancelled=draw(st.booleans()),
        )
        for _ in range(draw(st.integers(0, 4)))
    )
    active = [one for one in lines if not one.cancelled]
    discount = draw(st.integers(0, sum(one.amount for one in active)))
    external, internal = draw(st.integers(0, 99)), draw(st.integers(0, 99))
    total = sum(one.amount for one in active) - discount + external
    by_card = draw(st.integers(0, total))
    return ReceivedTransaction(
        kind=draw(KINDS),
        lines=lines,
        taxes=(
            ReceivedTax(tax_code="01", kind=TaxKind.EXTERNAL, rate_bps=1000, target=0, amount=external),
            ReceivedTax(tax_code="02", kind=TaxKind.INTERNAL, rate_bps=1000, target=0, amount=internal),
        ),
        payments=(cash(total - by_card), card(by_card)),
        subtotal_discount=discount,
        total_with_tax=total,
        quantity=sum(one.quantity for one in active),
    )


@given(st.lists(transactions(), max_size=12))
def test_net_and_tax_are_what_was_paid(received):
    """The check of the rules: net + tax = sum of payments, whatever was sold, returned and voided."""
    report = report_of(*received)
    assert report.net.amount + report.tax.amount == sum(row.amount for row in report.payments)
    assert report.tax.amount == sum(row.amount for row in report.taxes)
    assert report.net.count == report.gross.count - report.returns.count


@given(st.lists(transactions(), max_size=8), st.randoms(use_true_random=False))
def test_order_does_not_matter(received, random):
    """Running figures are the same in whatever order transactions arrive."""
    shuffled = list(received)
    random.shuffle(shuffled)
    assert report_of(*shuffled) == report_of(*received)


@given(transactions().filter(lambda one: one.kind in (TransactionKind.SALE, RETURN)))
def test_a_void_takes_back_every_figure(original):
    """After a void nothing is left but the two transactions that were received."""
    kind = VOID_SALE if original.kind is TransactionKind.SALE else VOID_RETURN
    assert sums_of(contribution_of(original), contribution_of(undone(original, kind))) == {
        FigureKey(FigureName.TRANSACTIONS): Figure(count=2)
    }
