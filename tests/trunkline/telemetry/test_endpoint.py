"""The endpoint: a scrape over HTTP, and nothing else."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest
from trunkline.telemetry import endpoint as module
from trunkline.telemetry.endpoint import MetricsEndpoint, MetricsPortInUse, serve_metrics
from trunkline.telemetry.metrics import Metrics

from tests.trunkline.telemetry.samples import samples

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def metrics() -> Metrics:
    """One attempt of one call."""
    metrics = Metrics()
    metrics.client("item", "/pos.item.v1.ItemService/GetItem").attempt_started()
    return metrics


@pytest.fixture
def served(metrics: Metrics) -> Iterator[MetricsEndpoint]:
    """Their endpoint, on a free port."""
    endpoint = serve_metrics(port=0, metrics=metrics)
    yield endpoint
    endpoint.close()


def ask(port: int, method: str, path: str, host: str = "127.0.0.1") -> Answer:
    """Asks over HTTP."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=x"])
def test_a_scrape_gets_what_is_counted(served, path):
    """GET /metrics gives Prometheus' text, of the length that it says."""
    status, headers, body = ask(served.port, "GET", path)
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert int(headers["content-length"]) == len(body)
    labels = {"grpc_method": "pos.item.v1.ItemService/GetItem", "grpc_target": "item"}
    assert samples(body)["grpc_client_attempt_started_total", frozenset(labels.items())] == 1


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("GET", "/metricsx", 404), ("POST", "/metrics", 501)]
)
def test_nothing_else_is_there(served, method, path, status):
    """Other paths are not found, other methods not known, and no answer tells which Python runs here."""
    answered, headers, _ = ask(served.port, method, path)
    assert answered == status
    assert headers["server"] == "trunkline"


def test_it_listens_on_loopback_unless_told_otherwise(served):
    """Without a host nobody reaches it from outside."""
    assert served._server.server_address[0] == "127.0.0.1"


def test_it_serves_ipv6_too(metrics):
    """A host with colons is an IPv6 address."""
    try:
        endpoint = serve_metrics("::1", 0, metrics)
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        assert ask(endpoint.port, "GET", "/metrics", "::1")[0] == 200
    finally:
        endpoint.close()


def test_a_port_in_use_is_told_in_one_line(served, metrics):
    """A second endpoint on the port is refused with the address in the message."""
    with pytest.raises(MetricsPortInUse) as refused:
        serve_metrics("127.0.0.1", served.port, metrics)
    assert f"127.0.0.1:{served.port} is in use" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_address_of_another_machine_is_no_port_in_use(metrics):
    """What is wrong otherwise is told by the system's own error."""
    with pytest.raises(OSError, match="assign"):
        serve_metrics("192.0.2.1", 0, metrics)


def test_it_closes_at_once_and_frees_its_port(metrics):
    """After close nothing listens, no thread is left, and the port can be had again."""
    endpoint = serve_metrics(port=0, metrics=metrics)
    ask(endpoint.port, "GET", "/metrics")
    endpoint.close()
    endpoint.close()
    assert not [one for one in threading.enumerate() if one.name == "trunkline-metrics"]
    again = serve_metrics(port=endpoint.port, metrics=metrics)
    again.close()


def test_a_client_that_sends_nonsense_disturbs_nobody(served):
    """Bytes that are no HTTP get a refusal or nothing; the next scrape is answered."""
    for junk in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET /metrics HTTP/1.1\r\n" + b"a" * 70000, b""):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as client:
            client.sendall(junk)
            client.shutdown(socket.SHUT_WR)
            client.recv(100)
    assert ask(served.port, "GET", "/metrics")[0] == 200


def test_those_who_only_hold_connections_are_few(served, monkeypatch):
    """Beyond the most clients at once the next one is hung up on; when they leave, scrapes are answered again."""
    held = [socket.create_connection(("127.0.0.1", served.port), timeout=10) for _ in range(module.MOST_CLIENTS)]
    try:
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as refused:
            assert refused.recv(1) == b""
    finally:
        for one in held:
            one.close()
    for _ in range(1000):
        try:
            status = ask(served.port, "GET", "/metrics")[0]
            break
        except (ConnectionError, http.client.BadStatusLine):
            continue
    assert status == 200
