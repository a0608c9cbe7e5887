"""TaxService, through its whole chain."""

from __future__ import annotations

from pos.item.v1 import tax_service_pb2 as pb
from pos.item.v1 import tax_service_pb2_grpc as pb_grpc
from pos.type.v1.tax_kind_pb2 import TAX_KIND_EXEMPT, TAX_KIND_EXTERNAL, TAX_KIND_INTERNAL

from tests.services.callers import refusal, till


async def test_lists_the_five_taxes(system, node):
    """Every tenant has the five taxes of the rules, by code."""
    stub = pb_grpc.TaxServiceStub(till(system).channel("item"))
    taxes = (await stub.ListTaxes(pb.ListTaxesRequest())).taxes
    assert [(tax.tax_code, tax.kind, tax.rate_bps) for tax in taxes] == [
        ("00", TAX_KIND_EXEMPT, 0),
        ("01", TAX_KIND_EXTERNAL, 1000),
        ("02", TAX_KIND_INTERNAL, 1000),
        ("11", TAX_KIND_EXTERNAL, 800),
        ("12", TAX_KIND_INTERNAL, 800),
    ]


async def test_gets_one(system, node):
    """A tax is found by its code; any other code is refused."""
    stub = pb_grpc.TaxServiceStub(till(system).channel("item"))
    assert (await stub.GetTax(pb.GetTaxRequest(tax_code="11"))).tax.rate_bps == 800
    missing = await refusal(stub.GetTax(pb.GetTaxRequest(tax_code="77")))
    assert missing == ("NOT_FOUND", "pos.item/TAX_NOT_FOUND", {"tax_code": "77"})
