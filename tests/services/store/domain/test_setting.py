"""Settings: which value holds where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.failure import InvalidInput, NotFound
from services.store.domain.setting import KEYS, Place, Scope, check_value, resolve

TENANT, STORE, TERMINAL = Place(), Place("0001"), Place("0001", 1)
KEY = "receipt_no_range"


@pytest.mark.parametrize(
    ("values", "value", "scope"),
    [
        ({TENANT: "t", STORE: "s", TERMINAL: "x"}, "x", Scope.TERMINAL),
        ({TENANT: "t", STORE: "s"}, "s", Scope.STORE),
        ({TENANT: "t"}, "t", Scope.TENANT),
        ({}, "111111-999999", Scope.DEFAULT),
        ({Place("0002"): "other", Place("0001", 2): "other"}, "111111-999999", Scope.DEFAULT),
    ],
)
def test_the_narrowest_value_holds(values, value, scope):
    """A terminal's value is looked up at the terminal, then its store, then the tenant, then the default."""
    setting = resolve(KEY, TERMINAL, values)
    assert (setting.key, setting.value, setting.scope) == (KEY, value, scope)


@pytest.mark.parametrize(("place", "value"), [(TENANT, "t"), (STORE, "s"), (TERMINAL, "x"), (Place("0002"), "t")])
def test_a_wider_place_does_not_see_narrower_values(place, value):
    """A store does not get the value of its terminal, nor a tenant that of its store."""
    assert resolve(KEY, place, {TENANT: "t", STORE: "s", TERMINAL: "x"}).value == value


def test_an_empty_value_is_a_value():
    """Presence decides: an empty header of a store hides the tenant's."""
    setting = resolve("receipt_header", STORE, {TENANT: "Welcome", STORE: ""})
    assert (setting.value, setting.scope) == ("", Scope.STORE)


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("invoice_registration_no", ""),
        ("receipt_footer", ""),
        ("receipt_header", ""),
        ("receipt_no_range", "111111-999999"),
    ],
)
def test_defaults(key, default):
    """Every setting has a default, and there are no others."""
    assert resolve(key, TENANT, {}).value == default
    assert key in KEYS
    assert len(KEYS) == 4


@pytest.mark.parametrize("value", ["111111-999999", "111111-111111", "200000-300000"])
def test_good_receipt_ranges(value):
    """A range lies within 111111 to 999999 and ends where it begins or later."""
    check_value(KEY, value)


@pytest.mark.parametrize(
    "value",
    ["", "111110-999999", "111111-1000000", "300000-200000", "111111", "a-b", "111111-999999\n", "１１１１１１-999999"],  # noqa: RUF001
)
def test_bad_receipt_ranges(value):
    """Anything else is refused, and the setting is named."""
    with pytest.raises(InvalidInput) as refusal:
        check_value(KEY, value)
    assert (refusal.value.reason, refusal.value.metadata) == ("SETTING_VALUE_INVALID", {"key": KEY})


@given(st.integers(0, 9_999_999), st.integers(0, 9_999_999))
def test_ranges_are_taken_exactly_within_their_bounds(first, last):
    """A range is taken if and only if 111111 <= first <= last <= 999999."""
    try:
        check_value(KEY, f"{first}-{last}")
    except InvalidInput:
        assert not 111_111 <= first <= last <= 999_999
    else:
        assert 111_111 <= first <= last <= 999_999


@pytest.mark.parametrize("key", ["receipt_header", "receipt_footer"])
def test_receipt_texts_are_lines(key):
    """Texts of receipts may have several lines in any script, and no other control characters."""
    check_value(key, "Thank you\nありがとうございます")
    with pytest.raises(InvalidInput):
        check_value(key, "beep\a")


def test_an_unknown_setting_is_not_found():
    """A key that no setting has is refused, for reading and for writing."""
    with pytest.raises(NotFound) as reading:
        resolve("receipt_colour", TENANT, {})
    with pytest.raises(NotFound) as writing:
        check_value("receipt_colour", "red")
    for refusal in (reading.value, writing.value):
        assert (refusal.reason, refusal.metadata) == ("SETTING_UNKNOWN", {"key": "receipt_colour"})
