"""Which flow log speaks for an interface, and how much of an endpoint is covered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.flowlogs.attribute import choose, coverage, index
from exporter.model import Endpoint, FlowLog, Interface, Inventory, Known, Scope, Unavailable

SCOPE = Scope("111122223333", "eu-west-1")
ENI = Interface("eni-1", "vpc-1", "subnet-1", "a", "az1", ())
BASE = FlowLog("fl-5", "vpc-1", "ALL", "cloud-watch-logs", "/g", "", 600, "ACTIVE", "SUCCESS")
RICH = BASE.format or (
    "${interface-id} ${action} ${start} ${end} ${a} ${b} ${c} ${d} ${e} ${f} ${g} ${h} ${i} ${j} "
    "${k}"
)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (BASE, replace(BASE, id="fl-1", destination_type="s3")),
        (BASE, replace(BASE, id="fl-1", format="${start}")),
        (BASE, replace(BASE, id="fl-1", delivery_status="FAILED")),
        (BASE, replace(BASE, id="fl-1", traffic_type="REJECT")),
        (replace(BASE, format=RICH), replace(BASE, id="fl-1")),
        (replace(BASE, aggregation=60), replace(BASE, id="fl-1")),
        (replace(BASE, id="fl-1"), BASE),
    ],
    ids=["readable", "usable format", "delivers", "ALL", "richest", "shortest", "id"],
)
def test_one_flow_log_speaks(better: FlowLog, worse: FlowLog) -> None:
    """Of overlapping flow logs one is chosen, whatever the order they are listed in."""
    assert choose("REJECT", [better, worse]) == better
    assert choose("REJECT", [worse, better]) == better


def test_a_flow_log_of_one_action_says_nothing_of_the_other() -> None:
    """A flow log of ACCEPT only is not chosen for REJECT."""
    accept = replace(BASE, traffic_type="ACCEPT")
    assert choose("ACCEPT", [accept]) == accept
    assert choose("REJECT", [accept]) is None


def inventory(*flow_logs: FlowLog) -> Inventory:
    other = replace(ENI, id="eni-2", vpc_id="vpc-1", subnet_id="subnet-2")
    endpoint = Endpoint(
        "vpce-1", SCOPE, "Interface", "available", "s", "vpc-1", interface_ids=("eni-1", "eni-2")
    )
    return Inventory(
        SCOPE,
        endpoints=Known({"vpce-1": endpoint}, 30.0),
        interfaces=Known({"eni-1": ENI, "eni-2": other}, 20.0),
        flow_logs=Known({f.id: f for f in flow_logs}, 40.0),
    )


def test_coverage_is_a_share_of_interfaces() -> None:
    """An interface counts where its action is logged, delivered and readable."""
    subnet = replace(BASE, resource_id="subnet-1", traffic_type="REJECT")
    found = inventory(subnet)
    made = index(found)
    assert made
    assert made.as_of == 20.0  # the oldest of what it is made from
    endpoint = next(iter(found.endpoints.value.values()))  # type: ignore[union-attr]
    assert coverage(endpoint, made) == {"ACCEPT": 0.0, "REJECT": 0.5}
    failing = index(inventory(replace(BASE, delivery_status="FAILED")))
    assert failing
    assert coverage(endpoint, failing) == {"ACCEPT": 0.0, "REJECT": 0.0}


def test_no_index_while_a_part_is_unknown() -> None:
    """Nothing is attributed by half of what attribution needs."""
    assert index(replace(inventory(BASE), flow_logs=Unavailable("denied"))) is None
    assert index(replace(inventory(BASE), interfaces=Unavailable("denied"))) is None
