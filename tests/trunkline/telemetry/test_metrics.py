"""Metrics: what is counted is what a scrape says, under the names of gRFC A66."""

from __future__ import annotations

import gc
import random
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trunkline.policies.breaker import Breaker, BreakerSettings, BreakerState
from trunkline.policies.budget import RetryBudget
from trunkline.telemetry.durations import LATENCY_BUCKETS_S
from trunkline.telemetry.metrics import METRICS, ClientMetrics, Metrics
from trunkline.testing.clock import FakeClock

from tests.trunkline.telemetry.samples import Labels, kinds, samples

GET = "/pos.item.v1.ItemService/GetItem"
NAME = "pos.item.v1.ItemService/GetItem"
DURATION = "grpc_client_attempt_duration_seconds"


@pytest.fixture
def metrics() -> Metrics:
    """Counts of nothing yet."""
    return Metrics()


def where(**labels: str) -> Labels:
    """Labels of a call to item."""
    return frozenset({"grpc_method": NAME, "grpc_target": "item", **labels}.items())


def use(client: ClientMetrics) -> None:
    """A call with all that may happen to one."""
    for code, seconds in (("UNAVAILABLE", 0.0007), ("DEADLINE_EXCEEDED", 0.2), ("OK", 0.0011)):
        client.attempt_started()
        client.attempt_ended(code, seconds)
    client.retried()
    client.hedged()
    client.refused()
    client.cached("miss")
    client.call_ended("OK", 0.25)


def test_a_client_call_is_told_with_its_real_method_and_target(metrics):
    """Attempts, calls, retries, hedges, refusals and the cache stand under method and target, durations under codes."""
    use(metrics.client("item", GET))
    found = samples(metrics.expose())
    assert found["grpc_client_attempt_started_total", where()] == 3
    assert found[f"{DURATION}_count", where(grpc_status="UNAVAILABLE")] == 1
    assert found[f"{DURATION}_sum", where(grpc_status="DEADLINE_EXCEEDED")] == pytest.approx(0.2)
    assert found["grpc_client_call_duration_seconds_count", where(grpc_status="OK")] == 1
    assert found["grpc_client_call_duration_seconds_sum", where(grpc_status="OK")] == pytest.approx(0.25)
    for name in (
        "grpc_client_call_retries_total",
        "grpc_client_call_hedges_total",
        "grpc_client_retries_refused_total",
    ):
        assert found[name, where()] == 1
    assert found["grpc_client_cache_total", where(result="miss")] == 1
    assert found["grpc_client_cache_total", where(result="hit")] == 0


def test_a_served_call_is_running_until_it_ends(metrics):
    """Started, running and ended are told by method."""
    server = metrics.server(GET)
    server.started()
    server.started()
    server.ended("PERMISSION_DENIED", 0.003)
    found = samples(metrics.expose())
    served = frozenset({"grpc_method": NAME}.items())
    assert found["grpc_server_call_started_total", served] == 2
    assert found["grpc_server_running", served] == server.running == 1
    ended = served | {("grpc_status", "PERMISSION_DENIED")}
    assert found["grpc_server_call_duration_seconds_count", ended] == 1


def test_families_have_the_types_that_they_are(metrics):
    """Counters are counters, durations histograms, states gauges."""
    use(metrics.client("item", GET))
    found = kinds(metrics.expose())
    assert found["grpc_client_attempt_started"] == "counter"
    assert found[DURATION] == "histogram"
    assert found["grpc_server_running"] == found["trunkline_breaker_state"] == "gauge"


def test_buckets_are_those_of_a66(metrics):
    """41 bounds from 0 to 100 s, and one for the rest; a duration on a bound is in its bucket."""
    client = metrics.client("item", GET)
    for bound in LATENCY_BUCKETS_S:
        client.attempt_ended("OK", bound)
    client.attempt_ended("OK", 1e6)
    found = samples(metrics.expose())
    bounds = {dict(labels)["le"]: value for (name, labels), value in found.items() if name == f"{DURATION}_bucket"}
    assert [float(bound) for bound in bounds] == [*LATENCY_BUCKETS_S, float("inf")]
    assert list(bounds.values()) == [float(place + 1) for place in range(42)]


@settings(deadline=None)
@given(seconds=st.lists(st.floats(0, 200), min_size=1, max_size=50))
def test_a_histogram_adds_up(seconds):
    """The last bucket is the count, buckets never shrink, and the sum is the sum."""
    metrics = Metrics()
    client = metrics.client("item", GET)
    for one in seconds:
        client.call_ended("OK", one)
    found = samples(metrics.expose())
    name = "grpc_client_call_duration_seconds"
    buckets = [value for (sample, _), value in found.items() if sample == f"{name}_bucket"]
    assert buckets == sorted(buckets)
    assert buckets[-1] == found[f"{name}_count", where(grpc_status="OK")] == len(seconds)
    assert found[f"{name}_sum", where(grpc_status="OK")] == pytest.approx(sum(seconds))
    assert [sum(one <= bound for one in seconds) for bound in LATENCY_BUCKETS_S] == buckets[:-1]


def test_counts_are_made_once(metrics):
    """Whoever asks for the counts of a method gets the same, however the path is written."""
    assert metrics.client("item", GET) is metrics.client("item", NAME)
    assert metrics.client("item", GET) is not metrics.client("store", GET)
    assert metrics.server(GET) is metrics.server(NAME)


def test_a_code_that_grpc_does_not_know_is_unknown(metrics):
    """Codes become labels only if they are gRPC's."""
    client = metrics.client("item", GET)
    for code in ("OH_NO", "OK", "OH_DEAR", "UNKNOWN"):
        client.attempt_ended(code, 0.1)
    assert set(client.attempts) == {"OK", "UNKNOWN"}
    assert metrics.value(f"{DURATION}_count", grpc_status="UNKNOWN") == 3


def test_a_method_that_was_never_cached_has_no_rows_for_it(metrics):
    """Rows of noughts are told where they say something only."""
    metrics.client("item", GET).attempt_started()
    assert not [name for name, _ in samples(metrics.expose()) if name == "grpc_client_cache_total"]


def test_labels_are_escaped(metrics):
    """A target with quotes, backslashes or line breaks comes out as it went in."""
    strange = 'dns:///"a\\b"\nc'
    metrics.client(strange, GET).attempt_started()
    assert metrics.value("grpc_client_attempt_started_total", grpc_target=strange) == 1


def test_value_sums_what_matches(metrics):
    """Without labels all samples of a name are summed; what is not there is nothing."""
    for target in ("item", "store"):
        metrics.client(target, GET).attempt_started()
    assert metrics.value("grpc_client_attempt_started_total") == 2
    assert metrics.value("grpc_client_attempt_started_total", grpc_target="store") == 1
    assert metrics.value("grpc_client_attempt_started_total", grpc_target="cart") == 0


def test_the_process_tells_what_it_uses():
    """Memory and processor time of the process are exposed beside the counts."""
    assert METRICS.value("process_resident_memory_bytes") > 1e6
    assert METRICS.value("process_cpu_seconds_total") > 0


@pytest.mark.parametrize(("state", "value"), [("CLOSED", 0), ("HALF_OPEN", 1), ("OPEN", 2)])
def test_a_breakers_state_is_told_as_it_is(metrics, state, value):
    """0 closed, 1 half-open, 2 open, looked up when it is scraped."""
    breaker = Breaker(BreakerSettings(), random.uniform)
    metrics.watch_breaker("item", GET, breaker)
    breaker.state = BreakerState[state]
    assert samples(metrics.expose())["trunkline_breaker_state", where()] == value


def test_of_several_breakers_the_worst_is_told(metrics):
    """Two channels to one target have a breaker each, and one row."""
    breakers = [Breaker(BreakerSettings(), random.uniform) for _ in range(3)]
    for breaker in breakers:
        metrics.watch_breaker("item", GET, breaker)
    breakers[1].state = BreakerState.OPEN
    assert metrics.value("trunkline_breaker_state") == 2
    del breaker
    del breakers[1]
    gc.collect()
    assert metrics.value("trunkline_breaker_state") == 0


def test_what_is_gone_is_told_no_more(metrics):
    """Watching keeps nothing alive, and of what is gone nothing stays."""
    breaker: Any = Breaker(BreakerSettings(), random.uniform)
    budget: Any = RetryBudget()
    metrics.watch_breaker("item", GET, breaker)
    metrics.watch_budget("item", budget)
    breaker = budget = None
    gc.collect()
    assert not [name for name, _ in samples(metrics.expose()) if name.startswith("trunkline_")]
    for _ in range(100):
        metrics.watch_breaker("item", GET, Breaker(BreakerSettings(), random.uniform))
    assert len(metrics._breakers["item", NAME]) <= 2


def test_what_is_left_of_a_budget_is_told_as_of_now():
    """A scrape sees what was spent and what time has given back; of several budgets of a target the sum."""
    clock = FakeClock()
    metrics, budgets = Metrics(clock), [RetryBudget(), RetryBudget()]
    for budget in budgets:
        metrics.watch_budget("item", budget)
    assert metrics.value("trunkline_retry_budget") == 4
    assert budgets[0].try_spend(clock.monotonic())
    assert metrics.value("trunkline_retry_budget") == 3
    clock.advance(0.5)
    assert metrics.value("trunkline_retry_budget", grpc_target="item") == 3.5


def test_a_scrape_changes_no_budget():
    """A budget that was scraped in another second is as it was: what it forgets, it forgets in its own thread."""
    clock = FakeClock()
    metrics, budget, untouched = Metrics(clock), RetryBudget(), RetryBudget()
    metrics.watch_budget("item", budget)
    for one in (budget, untouched):
        one.called(clock.monotonic())
    clock.advance(7.0)
    metrics.expose()
    assert budget == untouched


def test_a_scrape_during_writes_sees_whole_numbers(metrics):
    """While calls are counted every scrape agrees with itself and never goes back; in the end nothing is lost."""
    client, server = metrics.client("item", GET), metrics.server(GET)
    counts: list[float] = []
    failures: list[BaseException] = []

    def scrape() -> None:
        try:
            for _ in range(40):
                found = samples(metrics.expose())
                last = found.get((f"{DURATION}_bucket", where(grpc_status="OK", le="+Inf")), 0.0)
                assert last == found.get((f"{DURATION}_count", where(grpc_status="OK")), 0.0)
                assert found["grpc_server_running", frozenset({("grpc_method", NAME)})] in (0, 1)
                counts.append(last)
        except BaseException as failure:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(failure)

    thread, calls = threading.Thread(target=scrape), 0
    thread.start()
    while thread.is_alive():
        # New codes and new methods come up meanwhile: dictionaries grow under the scrape.
        metrics.client("item", f"/pos.item.v1.ItemService/Get{calls % 50}").attempt_started()
        server.started()
        client.attempt_ended(("OK", "UNAVAILABLE", "INTERNAL")[calls % 3 if calls > 1000 else 0], calls % 7 / 1000)
        server.ended("OK", 0.001)
        calls += 1
    thread.join()
    assert failures == []
    assert counts == sorted(counts)
    assert metrics.value(f"{DURATION}_count") == calls
