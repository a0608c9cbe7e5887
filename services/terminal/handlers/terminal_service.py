"""TerminalService on the wire."""

from __future__ import annotations

from collections.abc import Callable

from pos.terminal.v1 import terminal_pb2
from pos.terminal.v1 import terminal_service_pb2 as pb
from pos.terminal.v1 import terminal_service_pb2_grpc as pb_grpc
from pos.type.v1 import cash_movement_kind_pb2
from trunkline.call import require_tenant
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.kernel.business_date import today_in
from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.ids import TerminalId
from services.terminal.domain import lifecycle
from services.terminal.domain.neighbours import Carts, Stores
from services.terminal.domain.terminal import FunctionMode, Terminal
from services.terminal.handlers.convert import to_cash_movement, to_closing, to_opening, to_terminal
from services.terminal.handlers.publish import publish_close, publish_movement, publish_open
from services.terminal.storage import cash_movements, openings, terminals
from services.wire.dates import from_date
from services.wire.failures import refusals
from services.wire.kinds import from_enum
from services.wire.money import from_money
from services.wire.pages import page_of
from services.wire.reach import own_store, own_terminal, require_store


class TerminalServicer(pb_grpc.TerminalServiceServicer):
    """Keeps terminals."""

    def __init__(self, database: Database, unit: UnitOfWork, stores: Stores, carts: Carts) -> None:
        self._database = database
        self._unit = unit
        self._stores = stores
        self._carts = carts

    @refusals
    async def CreateTerminal(self, request: pb.CreateTerminalRequest, context: Context) -> pb.CreateTerminalResponse:
        """Creates a terminal in a store that exists."""
        terminal_id = TerminalId(require_tenant(), request.store_code, request.terminal_no)
        await self._stores.time_zone(request.store_code)
        terminal = Terminal(terminal_id=terminal_id, description=request.description)

        def work(tx: Transaction) -> pb.CreateTerminalResponse:
            terminals.add(tx.connection, terminal)
            return pb.CreateTerminalResponse(terminal=to_terminal(terminal))

        return await self._unit.run(work)

    @refusals
    async def GetTerminal(self, request: pb.GetTerminalRequest, context: Context) -> pb.GetTerminalResponse:
        """Gets a terminal."""
        terminal_id = TerminalId(require_store(request.store_code), request.store_code, request.terminal_no)
        terminal = await self._database.read(lambda connection: terminals.get(connection, terminal_id))
        return pb.GetTerminalResponse(terminal=to_terminal(terminal))

    @refusals
    async def ListTerminals(self, request: pb.ListTerminalsRequest, context: Context) -> pb.ListTerminalsResponse:
        """Lists terminals by store and number."""
        store_code = request.store_code or own_store()
        tenant_id = require_store(store_code)
        page = page_of(request.page_size, request.page_token, tenant_id, store_code, key=(str, int))
        after = (str(page.after[0]), int(page.after[1])) if page.after else ("", 0)
        rows = await self._database.read(
            lambda connection: terminals.page(
                connection, tenant_id, store_code=store_code, after=after, limit=page.size + 1
            )
        )
        shown, more = rows[: page.size], len(rows) > page.size
        last: list[str | int] = [shown[-1].terminal_id.store_code, shown[-1].terminal_no] if shown else []
        return pb.ListTerminalsResponse(
            terminals=[to_terminal(one) for one in shown], next_page_token=page.next_token(last, more=more)
        )

    @refusals
    async def SignIn(self, request: pb.SignInRequest, context: Context) -> pb.SignInResponse:
        """Signs in on the caller's terminal. The PIN is checked first: that takes its time, and another service."""
        terminal_id = own_terminal()
        staff = await self._stores.verified(request.staff_id, request.pin)

        def work(tx: Transaction) -> pb.SignInResponse:
            return pb.SignInResponse(terminal=_change(tx, terminal_id, lambda old: lifecycle.sign_in(old, staff)))

        return await self._unit.run(work)

    @refusals
    async def SignOut(self, request: pb.SignOutRequest, context: Context) -> pb.SignOutResponse:
        """Signs out on the caller's terminal."""
        terminal_id = own_terminal()

        def work(tx: Transaction) -> pb.SignOutResponse:
            return pb.SignOutResponse(terminal=_change(tx, terminal_id, lifecycle.sign_out))

        return await self._unit.run(work)

    @refusals
    async def SetFunctionMode(self, request: pb.SetFunctionModeRequest, context: Context) -> pb.SetFunctionModeResponse:
        """Sets what the caller's terminal is used for."""
        terminal_id = own_terminal()
        mode = from_enum(terminal_pb2.Terminal.FunctionMode, FunctionMode, request.function_mode)

        def work(tx: Transaction) -> pb.SetFunctionModeResponse:
            terminal = _change(tx, terminal_id, lambda old: lifecycle.set_function_mode(old, mode))
            return pb.SetFunctionModeResponse(terminal=terminal)

        return await self._unit.run(work)

    @refusals
    async def OpenTerminal(self, request: pb.OpenTerminalRequest, context: Context) -> pb.OpenTerminalResponse:
        """Opens the caller's terminal for a trading day."""
        terminal_id = own_terminal()
        given = from_date(request.business_date) if request.HasField("business_date") else None
        initial_float = from_money(request.initial_float) if request.HasField("initial_float") else None
        time_zone = "" if given else await self._stores.time_zone(terminal_id.store_code)

        def work(tx: Transaction) -> pb.OpenTerminalResponse:
            business_date = given or today_in(time_zone, tx.now)
            terminal = terminals.get(tx.connection, terminal_id)
            opened = lifecycle.open_terminal(terminal, business_date, initial_float, tx.now)
            terminals.replace(tx.connection, opened.terminal)
            openings.add(tx.connection, opened.record)
            publish_open(tx, opened.record)
            if opened.initial_float is not None:
                cash_movements.add(tx.connection, opened.initial_float)
                publish_movement(tx, opened.initial_float)
            return pb.OpenTerminalResponse(terminal=to_terminal(opened.terminal))

        return await self._unit.run(work)

    @refusals
    async def CloseTerminal(self, request: pb.CloseTerminalRequest, context: Context) -> pb.CloseTerminalResponse:
        """Closes the caller's terminal. What holds before the seal may be over after it, so it looks twice."""
        terminal_id, counted_cash = own_terminal(), from_money(request.counted_cash)
        seen = await self._database.read(lambda connection: terminals.get(connection, terminal_id))
        sealed = await self._carts.seal(terminal_id, lifecycle.check_closable(seen).business_counter)

        def work(tx: Transaction) -> pb.CloseTerminalResponse:
            terminal = terminals.get(tx.connection, terminal_id)
            closed = lifecycle.close(terminal, sealed, counted_cash, tx.now)
            terminals.replace(tx.connection, closed.terminal)
            openings.close(tx.connection, closed.record)
            publish_close(tx, closed.record)
            return pb.CloseTerminalResponse(terminal=to_terminal(closed.terminal), closing=to_closing(closed.record))

        return await self._unit.run(work)

    @refusals
    async def RecordCashMovement(
        self, request: pb.RecordCashMovementRequest, context: Context
    ) -> pb.RecordCashMovementResponse:
        """Records cash put into the drawer of the caller's terminal, or taken out of it."""
        terminal_id, amount = own_terminal(), from_money(request.amount)
        kind = from_enum(cash_movement_kind_pb2.CashMovementKind, CashMovementKind, request.kind)

        def work(tx: Transaction) -> pb.RecordCashMovementResponse:
            terminal = terminals.get(tx.connection, terminal_id)
            moved = lifecycle.move_cash(terminal, kind, amount, request.comment, tx.now)
            terminals.replace(tx.connection, moved.terminal)
            cash_movements.add(tx.connection, moved.movement)
            publish_movement(tx, moved.movement)
            return pb.RecordCashMovementResponse(cash_movement=to_cash_movement(moved.movement))

        return await self._unit.run(work)

    @refusals
    async def ListOpenings(self, request: pb.ListOpeningsRequest, context: Context) -> pb.ListOpeningsResponse:
        """Lists the openings of a store on one business date."""
        tenant_id, store_code = require_store(request.store_code), request.store_code
        business_date = from_date(request.business_date)
        listed = await self._database.read(
            lambda connection: openings.of_day(connection, tenant_id, store_code, business_date)
        )
        return pb.ListOpeningsResponse(openings=[to_opening(one) for one in listed])


def _change(tx: Transaction, terminal_id: TerminalId, change: Callable[[Terminal], Terminal]) -> terminal_pb2.Terminal:
    terminal = change(terminals.get(tx.connection, terminal_id))
    terminals.replace(tx.connection, terminal)
    return to_terminal(terminal)
