"""Page tokens hold for the list they were made for, and for nothing else."""

from __future__ import annotations

import base64
import json

import pytest
from trunkline.errors import ServiceError

from services.wire.pages import DEFAULT_PAGE_SIZE, page_of


def token_of(*content: object) -> str:
    """A token with any content."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def test_continues_after_last_row():
    """The token of a page gives the next one, from the last row on."""
    first = page_of(2, "", "tenant", "store")
    token = first.next_token(["b"], more=True)
    assert page_of(2, token, "tenant", "store").after == ("b",)


def test_ends_without_token():
    """There is no token where there is no more."""
    assert page_of(0, "", "tenant").next_token(["b"], more=False) == ""
    assert page_of(0, "", "tenant").size == DEFAULT_PAGE_SIZE


BINDING = page_of(1, "", "tenant").binding


@pytest.mark.parametrize(
    "token",
    [
        "%%%", "e30=", "bnVsbA==", "NDI=", "WzFd", token_of("other", "b"), token_of(BINDING), token_of(BINDING, 1),
        token_of(BINDING, "b", "c"), token_of(BINDING, None), "ü", token_of(BINDING, True),
    ],
)  # fmt: skip
def test_refuses_other_tokens(token):
    """Garbage, another list's token, and a sort key of the wrong form are one refusal."""
    with pytest.raises(ServiceError) as refused:
        page_of(1, token, "tenant")
    assert (refused.value.reason, refused.value.domain) == ("PAGE_TOKEN_INVALID", "pos.type")


def test_refuses_token_of_other_arguments():
    """A token is bound to the tenant and to every argument of the list."""
    token = page_of(1, "", "tenant", "a").next_token(["x"], more=True)
    with pytest.raises(ServiceError):
        page_of(1, token, "tenant", "b")


def test_knows_the_types_of_a_sort_key():
    """Numbers stay numbers, and a text in their place is refused."""
    token = page_of(1, "", "t", key=(str, int)).next_token(["s", 7], more=True)
    assert page_of(1, token, "t", key=(str, int)).after == ("s", 7)
    with pytest.raises(ServiceError):
        page_of(1, token, "t", key=(str, str))
