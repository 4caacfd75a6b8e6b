"""Judges for the tests: one VPC, two endpoints, and flow logs on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exporter.flowlogs.attribute import Index, Lifetime, Own, Place, Resource, with_addresses
from exporter.flowlogs.formats import DEFAULT
from exporter.flowlogs.judge import Judge
from exporter.model import ACTIONS, FlowLog

BEGIN = 1_700_000_000
VPC, SUBNET = "vpc-0a1", "subnet-0a1"
CLIENT = "eni-0c1"
FLOW_LOG = FlowLog("fl-0a1", VPC, "ALL", "s3", "arn:aws:s3:::logs", DEFAULT, 60, "ACTIVE")
OWN = {
    "eni-0a1": Own("vpce-0a1", Place(VPC, SUBNET), ("10.1.0.10", "2001:db8::a:10")),
    "eni-0a2": Own("vpce-0a1", Place(VPC, SUBNET), ("10.1.0.11",)),
    "eni-0b1": Own("vpce-0b1", Place(VPC, SUBNET), ("10.1.0.110",)),
    # Has gone; its address is another endpoint's now.
    "eni-0b0": Own("vpce-0b0", Place(VPC, SUBNET), ("10.1.0.11", "10.1.0.12")),
}
LIVES = {
    "eni-0a2": Lifetime(BEGIN + 300, float("inf"), "vpce-0a1"),
    "eni-0b0": Lifetime(0, BEGIN + 200, "vpce-0b0"),
}


def make_judge(
    *flow_logs: FlowLog,
    choices: Mapping[Resource, Sequence[tuple[float, str]]] | None = None,
    speaker: str = "",
    first_seen: float = BEGIN,
    lookback: float = 1800.0,
    lives: Mapping[str, Lifetime] = LIVES,
    own: Mapping[str, Own] = OWN,
) -> Judge:
    """Return a Judge of the first flow log, or of the one that is named."""
    flow_logs = flow_logs or (FLOW_LOG,)
    speaker = speaker or flow_logs[0].id
    places = {**{i: x.place for i, x in own.items()}, CLIENT: Place(VPC, "subnet-0c1")}
    index = Index(
        BEGIN + 3600,
        {},
        places,
        {(VPC, a): flow_logs[0] for a in ACTIONS},
        {f.id: f for f in flow_logs},
        {f.id: VPC for f in flow_logs},
    )
    index = with_addresses(index, own, lives)
    if choices is None:
        choices = {(VPC, action): [(0.0, flow_logs[0].id)] for action in ACTIONS}
    return Judge(
        index, choices, {speaker: speaker}, {f.id: first_seen for f in flow_logs}, lookback
    )
