"""Items, their prices and their taxes."""

import pytest

from services.item.domain.item import (
    DEFAULT_TAXES,
    Item,
    charged_price,
    check_changeable,
    check_distinct,
    check_free,
    check_references,
    tax_of,
)
from services.kernel.failure import AlreadyExists, InvalidInput, NotFound, WrongState
from services.kernel.tax_kind import TaxKind

TEA = Item(item_code="T", description="Tea", unit_price=100, category_code="drinks", tax_code="11")
GONE = Item(item_code="G", description="Gone", unit_price=1, category_code="drinks", tax_code="01", deleted=True)


@pytest.mark.parametrize(("store_price", "charged"), [(None, 100), (0, 0), (80, 80), (120, 120)])
def test_the_store_price_holds_if_there_is_one(store_price, charged):
    """Presence decides, not truth: a store price of 0 is a price of 0."""
    assert charged_price(TEA, store_price) == charged


@pytest.mark.parametrize(
    ("tax_code", "kind", "rate_bps"),
    [
        ("00", TaxKind.EXEMPT, 0),
        ("01", TaxKind.EXTERNAL, 1000),
        ("02", TaxKind.INTERNAL, 1000),
        ("11", TaxKind.EXTERNAL, 800),
        ("12", TaxKind.INTERNAL, 800),
    ],
)
def test_every_tenant_has_five_taxes(tax_code, kind, rate_bps):
    """The default taxes are those of the rules, and no others."""
    tax = tax_of(tax_code)
    assert (tax.tax_code, tax.kind, tax.rate_bps) == (tax_code, kind, rate_bps)
    assert len(DEFAULT_TAXES) == 5


def test_an_unknown_tax_is_not_found():
    """A code without a tax is named."""
    with pytest.raises(NotFound) as refusal:
        tax_of("77")
    assert (refusal.value.reason, refusal.value.metadata) == ("TAX_NOT_FOUND", {"tax_code": "77"})


def test_an_item_names_what_exists():
    """Category and tax of an item must exist."""
    check_references(TEA, {"drinks"})
    with pytest.raises(NotFound) as refusal:
        check_references(TEA, {"food"})
    assert refusal.value.reason == "CATEGORY_NOT_FOUND"


def test_a_deleted_item_is_not_changed():
    """What was deleted stays as it was."""
    check_changeable(TEA)
    with pytest.raises(WrongState) as refusal:
        check_changeable(GONE)
    assert (refusal.value.reason, refusal.value.metadata) == ("ITEM_DELETED", {"item_code": "G"})


def test_a_batch_has_each_code_once():
    """The first repeated code is named."""
    check_distinct(["A", "B"], "item_code")
    with pytest.raises(InvalidInput) as refusal:
        check_distinct(["A", "B", "B", "A"], "item_code")
    assert (refusal.value.reason, refusal.value.metadata) == ("CODE_REPEATED", {"item_code": "B"})


def test_a_taken_code_is_refused():
    """The first taken code in the order of the request is named."""
    check_free(["A"], {"B"}, "ITEM_EXISTS", "item_code")
    with pytest.raises(AlreadyExists) as refusal:
        check_free(["A", "B", "C"], {"C", "B"}, "ITEM_EXISTS", "item_code")
    assert (refusal.value.reason, refusal.value.metadata) == ("ITEM_EXISTS", {"item_code": "B"})
