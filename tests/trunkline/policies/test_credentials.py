"""In what order credentials are tried, and when the next one may follow."""

from __future__ import annotations

import pytest
from trunkline.policies.credentials import DEFAULT, Choice, Outcome, for_target, next_may_follow, parse

TOKEN, KEY, FORWARDED = Choice("token"), Choice("key"), Choice("forwarded")


@pytest.mark.parametrize(
    ("outcome", "even_if_refused", "follows"),
    [
        (Outcome.USED, False, False),
        (Outcome.USED, True, False),
        (Outcome.ABSENT, False, True),
        (Outcome.ABSENT, True, True),
        (Outcome.REFUSED, False, False),
        (Outcome.REFUSED, True, True),
        (Outcome.FAILED, False, False),
        (Outcome.FAILED, True, False),
    ],
)
def test_when_the_next_one_may_follow(outcome, even_if_refused, follows):
    """After an absent one always, after a refused one where the list says so, after one that failed never."""
    assert next_may_follow(outcome, even_if_refused=even_if_refused) is follows


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        ("", {}),
        ("key", {"": (KEY,)}),
        ("token,key", {"": (TOKEN, KEY)}),
        ("token?,key", {"": (Choice("token", True), KEY)}),
        ("token,key item=forwarded,key", {"": (TOKEN, KEY), "item": (FORWARDED, KEY)}),
        (" item=key\n cart=forwarded?,key ", {"item": (KEY,), "cart": (Choice("forwarded", True), KEY)}),
    ],
)
def test_lists_are_read(text, lists):
    """One word a target, the word without a target for all others, `?` where a refusal may be followed."""
    assert dict(parse(text)) == lists


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("tokens", "the list for every target names 'tokens': give some of forwarded, token, key"),
        ("item=token, key", "item names '': give some of forwarded, token, key"),
        ("token,token", "the list for every target names a credential twice"),
        ("key token", "the list for every target is given twice"),
        ("item=key item=token", "item is given twice"),
        ("token,key?", "the list for every target: nothing follows the last one, so it has no `?`"),
    ],
)
def test_mistakes_are_told(text, mistake):
    """What is meant otherwise is not guessed."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert mistake in str(caught.value).splitlines()


def test_a_target_has_its_own_list_or_that_of_all():
    """And where nothing is said, the key."""
    lists = parse("token,key item=forwarded")
    assert for_target(lists, "item") == (FORWARDED,)
    assert for_target(lists, "cart") == (TOKEN, KEY)
    assert for_target((), "cart") == DEFAULT == (KEY,)
