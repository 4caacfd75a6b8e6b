"""The World: what it says of flow logs that nobody reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.flowlogs.attribute import Allowed, coverage
from exporter.flowlogs.ingest import Report
from exporter.flowlogs.passing import SourceReport
from exporter.flowlogs.sourcing import Pick
from exporter.model import Unavailable
from exporter.world import Estate
from tests.worlds import ENDPOINT, FLOW_LOG, fixed_world

ESTATE = replace(fixed_world().estates[0], report=Report())
DENIED: Unavailable[None] = Unavailable("FilterLogEvents: AccessDenied", "denied")


def reported(read_to: float | None, problem: Unavailable[None] | None, source: str) -> Report:
    sources = {"/vpc": SourceReport((FLOW_LOG.id,), read_to, problem)}
    return Report(sources=sources, picks={FLOW_LOG.id: Pick(source, "why")})


@pytest.mark.parametrize(
    ("estate", "share"),
    [
        (ESTATE, 0.5),
        (replace(ESTATE, report=reported(9.0, None, "cloudwatch")), 0.5),
        (replace(ESTATE, report=reported(9.0, DENIED, "cloudwatch")), 0.5),
        (replace(ESTATE, report=reported(None, DENIED, "cloudwatch")), 0.0),
        (replace(ESTATE, report=reported(None, None, "")), 0.0),
        (replace(ESTATE, allowed=Allowed("s3")), 0.0),
    ],
    ids=["at start", "read", "fails now", "never read", "no source", "not allowed"],
)
def test_what_nobody_reads_is_not_covered(estate: Estate, share: float) -> None:
    """An interface is covered where its flow log is read, or was until a moment ago."""
    assert estate.index is not None
    assert coverage(ENDPOINT, estate.index, estate.reads) == {"ACCEPT": share, "REJECT": share}
