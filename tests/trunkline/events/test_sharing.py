"""How shards are shared: evenly, by everybody alike, with few hand-overs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from trunkline.events.consuming.sharing import share

NAMES = [f"notes/{number}" for number in range(8)]


def test_who_is_alone_takes_all():
    """Also what a dead worker had."""
    assert share(NAMES, {NAMES[0]: "dead", NAMES[1]: None}, {"a"}, "a").take == tuple(NAMES)


def test_who_has_too_much_gives_the_rest_up():
    """A second one comes: half is given up, and what is kept is not touched."""
    decided = share(NAMES, dict.fromkeys(NAMES, "a"), {"a", "b"}, "a")
    assert (decided.give, decided.take) == (tuple(NAMES[4:]), ())


def test_nobody_takes_what_somebody_has():
    """The second one waits until it is given up."""
    owners: dict[str, str | None] = dict.fromkeys(NAMES, "a")
    assert share(NAMES, owners, {"a", "b"}, "b").take == ()
    owners |= dict.fromkeys(NAMES[4:], None)
    assert share(NAMES, owners, {"a", "b"}, "b").take == tuple(NAMES[4:])


def test_where_it_does_not_come_out_even_nothing_moves():
    """Three, three and two: as good as any other way, so it stays."""
    owners: dict[str, str | None] = {name: "abc"[index % 3] for index, name in enumerate(NAMES)}
    for worker in "abc":
        decided = share(NAMES, owners, {"a", "b", "c"}, worker)
        assert (decided.give, decided.take) == ((), ())


@settings(deadline=None)
@given(
    owners=st.lists(st.sampled_from(["a", "b", "c", "d", "dead", None]), min_size=len(NAMES), max_size=len(NAMES)),
    living=st.sets(st.sampled_from(["a", "b", "c", "d"]), min_size=1),
    order=st.randoms(use_true_random=False),
)
def test_it_ends_evenly_whatever_it_was(owners, living, order):
    """From any state, in any order of turns: within three turns of each, all is owned, evenly, and nothing moves."""
    held: dict[str, str | None] = dict(zip(NAMES, owners, strict=True))
    for _ in range(3):
        turns = sorted(living)
        order.shuffle(turns)
        for worker in turns:
            decided = share(NAMES, held, living, worker)
            held |= dict.fromkeys(decided.give, None)
            assert all(held[name] not in living for name in decided.take)
            held |= dict.fromkeys(decided.take, worker)
    shares = [sum(owner == worker for owner in held.values()) for worker in living]
    assert sum(shares) == len(NAMES)
    assert max(shares) - min(shares) <= 1
    for worker in living:
        decided = share(NAMES, held, living, worker)
        assert (decided.give, decided.take) == ((), ())
