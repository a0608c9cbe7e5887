"""Whole names of terminals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import TerminalId

TERMINALS = st.builds(
    TerminalId,
    st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True),
    st.integers(1, 9999),
)


def test_names_are_whole():
    """The key and every resource name carry tenant, store and terminal."""
    terminal_id = TerminalId("acme", "0001", 3)
    assert terminal_id.key == "acme/0001/3"
    assert terminal_id.subject == "tenants/acme/stores/0001/terminals/3"
    assert terminal_id.transaction_subject(7) == "tenants/acme/stores/0001/terminals/3/transactions/7"
    assert terminal_id.cash_movement_subject(8) == "tenants/acme/stores/0001/terminals/3/cash-movements/8"
    assert terminal_id.opening_subject(9) == "tenants/acme/stores/0001/terminals/3/openings/9"
    assert terminal_id.report_subject(2) == "tenants/acme/stores/0001/terminals/3/reports/2"


@given(TERMINALS)
def test_a_key_names_one_terminal(terminal_id):
    """A terminal is found again from its key."""
    assert TerminalId.parse(terminal_id.key) == terminal_id


@pytest.mark.parametrize(
    ("tenant_id", "store_code", "terminal_no"),
    [("", "1", 1), ("Acme", "1", 1), ("a/b", "1", 1), ("a" * 41, "1", 1), ("a", "", 1), ("a", "x/y", 1),
     ("a", "1\n", 1), ("a", "1", 0), ("a", "1", 10_000)],
)  # fmt: skip
def test_a_bad_terminal_cannot_be_built(tenant_id, store_code, terminal_no):
    """Codes that would make two keys look alike, and numbers out of range, are refused."""
    with pytest.raises(ValueError, match="must"):
        TerminalId(tenant_id, store_code, terminal_no)


@pytest.mark.parametrize("key", ["", "a/b", "a/b/c", "a/b/1/2", "a/b/-1", "a/b/٣"])
def test_a_bad_key_names_no_terminal(key):
    """Only tenant/store/number is a key."""
    with pytest.raises(ValueError, match="tenant/store/terminal"):
        TerminalId.parse(key)
