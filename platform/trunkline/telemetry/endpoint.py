"""The Prometheus endpoint: `/metrics` over HTTP, in threads of its own: a busy event loop can be seen to be busy."""

from __future__ import annotations

import errno
import logging
import socket
import socketserver
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from trunkline.telemetry.metrics import METRICS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""
READ_TIMEOUT_S = 5.0
"""Seconds a client may be silent, in the middle of its request or of our answer."""
MOST_CLIENTS = 8
"""Clients served at once; more are hung up on."""
POLL_S = 1.0
"""Seconds between two looks at whether to end, where a closed socket does not wake who waits for it."""
_log = logging.getLogger("trunkline.endpoint")


class Exposed(Protocol):
    """What can be told to a scrape."""

    def expose(self) -> bytes:
        """All counts in Prometheus' text format. Called in the thread of a scrape."""
        ...


class MetricsPortInUse(Exception):
    """Somebody else listens there."""


class MetricsEndpoint:
    """A running endpoint. Close it when done; closing twice is harmless."""

    def __init__(self, server: _Server) -> None:
        self.port: int = server.server_address[1]
        """Port it listens on."""
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=(POLL_S,), name="trunkline-metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Ends it. Answers that are being sent are not waited for."""
        with suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(host: str = "127.0.0.1", port: int = 0, metrics: Exposed = METRICS) -> MetricsEndpoint:
    """Serves `/metrics` until it is closed. Whoever reaches it may read it: no token is asked for.

    Args:
        host: address to listen on.
        port: port to listen on; 0 picks a free one.
        metrics: what is told.

    Raises:
        MetricsPortInUse: another process listens there.
        OSError: the address is none of this machine's, or may not be listened on.
    """
    try:
        return MetricsEndpoint(_Server(host, port, metrics))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise MetricsPortInUse(f"{host}:{port} is in use by another process: no metrics can be told there") from None


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    # Not HTTPServer: it asks the name service for its own name when it starts, which may take seconds.
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, metrics: Exposed) -> None:
        self.metrics = metrics
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._free = threading.BoundedSemaphore(MOST_CLIENTS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()  # no thread was to be had
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A scraper that hangs up is no error of ours, and standard error is for nobody.
        _log.debug("a request for metrics failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = READ_TIMEOUT_S
    server: _Server

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND, "metrics are at /metrics")
            return
        body = self.server.metrics.expose()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        # Which Python runs here is nobody's business.
        return "trunkline"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Logs nothing: a line a scrape says nothing."""
