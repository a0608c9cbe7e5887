"""Proves that a chain keeps the rules: every link alone and all of them, for each RPC shape, however a call ends.

    @pytest.mark.parametrize("case", conformance.cases(), ids=str)
    async def test_my_platform_conforms(case):
        await case.run()

A link of your own is tried with `cases(extra_client=(mine,))` or `cases(extra_server=(mine,))`.
"""

from trunkline.testing.conformance.cases import Case, cases
from trunkline.testing.conformance.checks import NotConforming

__all__ = ["Case", "NotConforming", "cases"]
