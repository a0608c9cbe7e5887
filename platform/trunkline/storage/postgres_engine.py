"""Connections to PostgreSQL whose waits have an end, also where the server stands still and says nothing."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa

CONNECT_S, STATEMENT_S, LOCK_S = 3, 10, 5
"""Seconds that a connection may take, a statement, and the wait for a lock; the server ends the last two."""
IDLE_S = 30
"""Seconds after which the server ends a transaction in which nothing is done: its process hangs."""
ANSWER_S = STATEMENT_S + 3.0
"""Seconds without an answer after which a server is taken for dead: it has not even ended a statement in time."""
SETUP_LOCK = 0x7472756E
"""Advisory lock of whoever makes or migrates tables."""


class Patience:
    """How long the connections of an engine wait for an answer."""

    def __init__(self, answer_s: float = ANSWER_S) -> None:
        self.answer_s = answer_s
        """Seconds for each."""
        self.is_lost = False
        """Nobody waits any more: whoever does is told that the connection is lost."""


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer does not come. The server may have done what it was asked for."""

    patience = Patience()
    """Its engine's."""

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **named: Any) -> Any:
        """As of psycopg, for as long as there is patience."""
        return super().wait(self._patiently(gen), *arguments, **named)

    def _patiently(self, work: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        patience, until = self.patience, time.monotonic() + self.patience.answer_s
        try:
            wanted = next(work)
            while True:
                # False, about ten times a second, while nothing has come.
                ready = yield wanted
                if not ready and (patience.is_lost or time.monotonic() >= until):
                    self.pgconn.finish()
                    raise psycopg.OperationalError("the server does not answer")
                wanted = work.send(ready)
        except StopIteration as ended:
            return ended.value


def open_engine(
    url: str,
    *,
    connections: int = 1,
    statement_s: float = STATEMENT_S,
    idle_s: float = IDLE_S,
    patience: Patience | None = None,
) -> sa.Engine:
    """An engine whose transactions are SERIALIZABLE, and whose waits are bounded.

    Args:
        url: `postgresql://user:password@host:port/name`.
        connections: How many there are at most.
        statement_s: Seconds that a statement may take; 0: as long as it takes.
        idle_s: Seconds that a transaction may do nothing; 0: as long as it likes.
        patience: How long answers are waited for.
    """
    options = (
        f"-c statement_timeout={round(statement_s * 1000)} -c lock_timeout={LOCK_S}s"
        f" -c idle_in_transaction_session_timeout={round(idle_s * 1000)}"
    )
    engine = sa.create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        isolation_level="SERIALIZABLE",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=LOCK_S,
        pool_use_lifo=True,
        # Parameters are data: they stay out of the text of errors, and so out of logs.
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_S,
            "options": options,
            # A machine that is gone without a word is found by the kernel: what is sent is confirmed in so long, and
            # where nothing is sent it is asked.
            "tcp_user_timeout": STATEMENT_S * 1000,
            "keepalives_idle": STATEMENT_S,
            "keepalives_interval": 1,
            "keepalives_count": 3,
        },
    )
    held = patience or Patience()

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> PatientConnection:
        connection = PatientConnection.connect(*arguments, **named)
        connection.patience = held
        return connection

    return engine


@contextmanager
def setting_up(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction of whoever makes or migrates tables, one at a time; it sees what the one before has done."""
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SETUP_LOCK)))
        yield connection
