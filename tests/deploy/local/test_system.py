"""The nine services as one system."""

from __future__ import annotations

import json
from pathlib import Path

from trunkline.registry.targets import target_of

from deploy.local.system import SERVICES, local_system


def test_ports_follow_the_design():
    """The services stand on 50050 to 50058 in the order of the design, unless another base is given."""
    assert list(local_system(Path("/v")).ports.items())[1:] == [(name, 50050 + n) for n, name in enumerate(SERVICES)]
    assert local_system(Path("/v"), base_port=6000).ports["stock"] == 6008
    told = local_system(Path("/v"), metrics_port=7000)
    assert told.ports["metrics of stock"] == 7008
    assert told.programs[-1].environment["TRUNKLINE_METRICS_PORT"] == "7008"


def test_everybody_finds_everybody():
    """All services are told where all of them are, and no inherited target wins over that."""
    spec = local_system(Path("/v"))
    inherited = {"ITEM_SERVICE_TARGET": "dns:///elsewhere:1"}
    assert target_of("item", {**inherited, **spec.environment}) == "dns:///127.0.0.1:50051"


def test_each_service_has_its_own_credential():
    """A service is told the file of its own credential, and no secret stands on a command line."""
    spec = local_system(Path("/v"))
    files = {program.environment["TRUNKLINE_CREDENTIAL_FILE"] for program in spec.programs}
    assert files == {f"/v/run/credentials/{name}" for name in SERVICES}
    assert "secret" not in json.dumps([list(program.command) for program in spec.programs])


def test_brings_redis_only_where_none_is_named():
    """With REDIS_URL set the embedded server stays away."""
    assert local_system(Path("/v"), redis_port=7000).url_of_redis == "redis://127.0.0.1:7000/0"
    assert not local_system(Path("/v"), redis_url="redis://r:1/0").embedded
