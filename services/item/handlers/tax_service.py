"""TaxService on the wire."""

from __future__ import annotations

from pos.item.v1 import tax_service_pb2 as pb
from pos.item.v1 import tax_service_pb2_grpc as pb_grpc
from trunkline.server import Context

from services.item.domain.item import DEFAULT_TAXES, tax_of
from services.item.handlers.convert import to_tax
from services.wire.failures import refusals


class TaxServicer(pb_grpc.TaxServiceServicer):
    """The five taxes that every tenant has."""

    @refusals
    async def GetTax(self, request: pb.GetTaxRequest, context: Context) -> pb.GetTaxResponse:
        """Gets a tax."""
        return pb.GetTaxResponse(tax=to_tax(tax_of(request.tax_code)))

    @refusals
    async def ListTaxes(self, request: pb.ListTaxesRequest, context: Context) -> pb.ListTaxesResponse:
        """Lists all taxes by code."""
        return pb.ListTaxesResponse(taxes=[to_tax(DEFAULT_TAXES[code]) for code in sorted(DEFAULT_TAXES)])
