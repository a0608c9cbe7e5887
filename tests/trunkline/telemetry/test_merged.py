"""Counts of several workers are told as those of one process."""

from __future__ import annotations

import random

from prometheus_client.parser import text_string_to_metric_families
from trunkline.clock import SYSTEM_CLOCK
from trunkline.policies.breaker import Breaker, BreakerSettings
from trunkline.telemetry.merged import Merged
from trunkline.telemetry.metrics import Metrics

METHOD = "/p.v1.S/Get"


def worker(calls: int) -> bytes:
    """What a worker tells that has served so many calls."""
    metrics = Metrics(SYSTEM_CLOCK)
    server = metrics.server(METHOD)
    for _ in range(calls):
        server.started()
        server.ended("OK", 0.003)
    server.started()
    return metrics.expose()


def values(text: bytes, name: str) -> dict[tuple[str, ...], float]:
    """Samples of a name: values of their labels in the order of the labels' names → value."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == name
    }


def test_what_counts_up_is_added():
    """Counters, and the buckets, sums and counts of histograms."""
    text = Merged().text({1: worker(2), 2: worker(3)})
    assert values(text, "grpc_server_call_started_total") == {("p.v1.S/Get",): 7}
    assert values(text, "grpc_server_call_duration_seconds_count") == {("p.v1.S/Get", "OK"): 5}
    assert values(text, "grpc_server_call_duration_seconds_bucket")["p.v1.S/Get", "OK", "+Inf"] == 5
    assert abs(values(text, "grpc_server_call_duration_seconds_sum")["p.v1.S/Get", "OK"] - 0.015) < 1e-9


def test_what_may_fall_is_told_of_each():
    """Gauges have a label for the worker, those that have no label otherwise too."""
    text = Merged().text({1: worker(0), 3: worker(0)})
    assert values(text, "grpc_server_running") == {("p.v1.S/Get", "1"): 1, ("p.v1.S/Get", "3"): 1}
    assert set(values(text, "process_open_fds")) == {("1",), ("3",)}


def test_no_counter_falls_because_somebody_has_ended():
    """What one had counted that has ended is kept; its gauges are not."""
    merged = Merged()
    merged.keep(worker(4))
    merged.keep(worker(1))
    text = merged.text({3: worker(2)})
    assert values(text, "grpc_server_call_started_total") == {("p.v1.S/Get",): 10}
    assert set(values(text, "grpc_server_running")) == {("p.v1.S/Get", "3")}
    assert merged.text({3: worker(2)}) != b""
    assert values(merged.text({}), "grpc_server_call_started_total") == {("p.v1.S/Get",): 7}


def test_labels_stay_as_they_are():
    """Blanks, quotes and braces in the value of a label are told as they came."""
    metrics = Metrics(SYSTEM_CLOCK)
    breaker = Breaker(BreakerSettings(), random.uniform)
    metrics.watch_breaker('a "b" {c} d', METHOD, breaker)
    text = Merged().text({1: metrics.expose()})
    assert values(text, "trunkline_breaker_state") == {("p.v1.S/Get", 'a "b" {c} d', "1"): 0}


def test_nothing_is_nothing():
    """A worker that has told nothing yet adds nothing."""
    assert Merged().text({1: b"", 2: b""}) == b""
