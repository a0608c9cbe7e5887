"""What a scrape says, read by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


def samples(exposed: bytes) -> dict[tuple[str, Labels], float]:
    """Value by name and labels; fails if one is told twice."""
    found: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(exposed.decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def kinds(exposed: bytes) -> dict[str, str]:
    """Type by name of the family."""
    return {family.name: family.type for family in text_string_to_metric_families(exposed.decode())}
