"""JournalService on the wire."""

from __future__ import annotations

from pos.journal.v1 import journal_service_pb2 as pb
from pos.journal.v1 import journal_service_pb2_grpc as pb_grpc
from trunkline.call import require_tenant
from trunkline.server import Context
from trunkline.storage import Database

from services.journal.handlers.convert import from_key, from_request, to_entry, to_key
from services.journal.storage import entries
from services.wire.failures import refusals
from services.wire.pages import page_of
from services.wire.reach import require_store


class JournalServicer(pb_grpc.JournalServiceServicer):
    """Reads the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @refusals
    async def ListEntries(self, request: pb.ListEntriesRequest, context: Context) -> pb.ListEntriesResponse:
        """Lists entries of a store, newest first."""
        search = from_request(require_store(request.store_code), request)
        page = page_of(request.page_size, request.page_token, search, key=(int, int, str))
        after = from_key(page.after)
        rows = await self._database.read(
            lambda connection: entries.page(connection, search, after=after, limit=page.size + 1)
        )
        shown, more = rows[: page.size], len(rows) > page.size
        return pb.ListEntriesResponse(
            entries=[to_entry(one.entry) for one in shown],
            next_page_token=page.next_token(to_key(shown[-1].mark) if shown else [], more=more),
        )

    @refusals
    async def GetEntry(self, request: pb.GetEntryRequest, context: Context) -> pb.GetEntryResponse:
        """Gets an entry."""
        tenant_id, entry_id = require_tenant(), request.entry_id
        entry = await self._database.read(lambda connection: entries.get(connection, tenant_id, entry_id))
        require_store(entry.occurrence.terminal_id.store_code)
        return pb.GetEntryResponse(entry=to_entry(entry))
