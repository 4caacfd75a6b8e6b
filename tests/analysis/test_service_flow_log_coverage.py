"""Whether flow logs tell of the load balancers' interfaces."""

from __future__ import annotations

import pytest

from exporter.model import FlowLog
from tests.analysis.lab import new_id
from tests.analysis.pair import Pair, pair
from tests.analysis.test_nlb_listener import blind

CHECK = "flow_log_coverage"


def log(
    estate: Pair, resource_id: str, traffic: str = "ALL", delivery: str = "SUCCESS", error: str = ""
) -> FlowLog:
    """Add a flow log on something."""
    return estate.provider.add(
        "flow_logs",
        FlowLog(
            new_id("fl"),
            resource_id,
            traffic,
            "cloud-watch-logs",
            "/vpc/services",
            "${version}",
            delivery_status=delivery,
            delivery_error=error,
        ),
    )


@pytest.mark.parametrize("kind", ["Interface", "GatewayLoadBalancer"])
@pytest.mark.parametrize(
    ("logs", "status"),
    [
        ([], "warn"),
        ([("vpc", "ALL", "SUCCESS")], "pass"),
        ([("vpc", "ALL", "")], "pass"),
        ([("vpc", "ALL", "FAILED")], "warn"),
        ([("vpc", "ACCEPT", "SUCCESS")], "warn"),
        ([("vpc", "ACCEPT", "SUCCESS"), ("vpc", "REJECT", "SUCCESS")], "pass"),
        ([("one", "ALL", "SUCCESS")], "warn"),
        ([("one", "ALL", "SUCCESS"), ("two", "ALL", "SUCCESS")], "pass"),
        ([("vpc", "ALL", "FAILED"), ("one", "ALL", "SUCCESS")], "warn"),
    ],
)
def test_what_the_flow_logs_tell(logs: list[tuple[str, str, str]], status: str, kind: str) -> None:
    """Every interface, ACCEPT and REJECT, delivered: else warn, never fail."""
    estate = pair(types=(kind,))
    resources = {
        "vpc": estate.theirs.id,
        "one": estate.subnets[0].id,
        "two": estate.subnets[1].id,
    }
    for resource, traffic, delivery in logs:
        log(estate, resources[resource], traffic, delivery)
    assert estate.of_service(CHECK).status == status


def test_the_evidence_names_the_flow_log_and_why_it_fails() -> None:
    """AWS's error, and the interfaces that nothing tells of."""
    estate = pair()
    failed = log(estate, estate.theirs.id, "ALL", "FAILED", "Access error")
    found = estate.of_service(CHECK)
    assert failed.id in found.resources
    assert "Access error" in found.evidence[0]
    assert "2 of 2 interfaces" in found.summary


def test_the_consumers_endpoint_does_not_show_it() -> None:
    """The provider's flow logs are none of its concern."""
    estate = pair()
    found = estate.on_endpoint(CHECK)
    assert found is None or "load balancers" not in found.summary


def test_the_collector_is_switched_off() -> None:
    """Then nobody asked for flow logs."""
    assert pair().of_service(CHECK, off=("flow_logs",)).status == "not_applicable"


def test_no_interface_was_listed() -> None:
    """A load balancer has some: they were not seen."""
    estate = pair()
    estate.provider.listings["interfaces"].clear()
    assert estate.of_service(CHECK).status == "unknown"


def test_without_a_load_balancer_there_is_nothing_to_log() -> None:
    """That it has none is told by another check."""
    assert pair(load_balancer_arns=()).of_service(CHECK).status == "not_applicable"


@pytest.mark.parametrize("part", ["load_balancers", "interfaces", "flow_logs"])
def test_what_cannot_be_seen(part: str) -> None:
    """No flow log listed is not no flow log."""
    estate = pair()
    log(estate, estate.theirs.id)
    blind(estate, part)
    assert estate.of_service(CHECK).status == "unknown"
