"""Whether flow logs tell of an endpoint's traffic; that they do not breaks no connection."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from exporter.model import Action, Endpoint, FlowLog, Scope, Traffic
from tests.analysis.lab import CONSUMER, DENIED, Lab, finding

Coverage = dict[Action, float]
BOTH: Coverage = {"ACCEPT": 1.0, "REJECT": 1.0}
NONE: Coverage = {"ACCEPT": 0.0, "REJECT": 0.0}
HALF: Coverage = {"ACCEPT": 0.5, "REJECT": 0.5}


def estate(scope: Scope = CONSUMER, **more: Any) -> tuple[Lab, Endpoint]:
    """An endpoint with two interfaces."""
    lab = Lab(scope)
    vpc = lab.add_vpc("10.0.0.0/16")
    addresses = {f"10.0.{z}.10": lab.add_subnet(vpc, f"10.0.{z}.0/24", zone=z) for z in (1, 2)}
    return lab, lab.add_endpoint(vpc, addresses, **more)


def log(on: str, **more: Any) -> FlowLog:
    fields = {
        "traffic_type": "ALL",
        "destination_type": "cloud-watch-logs",
        "destination": "/vpc/payments",
        "format": "",
        **more,
    }
    return FlowLog("fl-0123456789abcdef0", on, **fields)


# What covers (by default the VPC), how it deviates, why it is not read, and the coverage of it.
CASES: dict[str, tuple[str, dict[str, Any], str, Any, str, str]] = {
    "all is logged and read": ("vpc", {}, "", BOTH, "pass", "every interface"),
    "no flow log": ("", {}, "", NONE, "warn", "No flow log covers the endpoint"),
    "a flow log on one subnet of two": (
        "subnet", {}, "", HALF, "warn", "No flow log covers 1 of its 2 interfaces: eni-",
    ),
    "delivery fails": (
        "vpc", {"delivery_status": "FAILED", "delivery_error": "Access error"}, "", NONE,
        "warn", "cannot deliver: Access error",
    ),
    "delivery is limited": (
        "vpc", {"delivery_status": "FAILED", "delivery_error": "Rate limited"}, "", NONE,
        "warn", "cannot deliver: Rate limited",
    ),
    "only what is accepted": (
        "vpc", {"traffic_type": "ACCEPT"}, "", {"ACCEPT": 1.0, "REJECT": 0.0},
        "warn", "of REJECT nothing is known",
    ),
    "only what is rejected": (
        "vpc", {"traffic_type": "REJECT"}, "", {"ACCEPT": 0.0, "REJECT": 1.0},
        "warn", "of ACCEPT nothing is known",
    ),
    "delivered to where nothing reads": (
        "vpc", {"destination_type": "kinesis-data-firehose"}, "nothing reads that", NONE,
        "warn", "is not read: nothing reads that",
    ),
    "delivered, and we may not read it": (
        "vpc", {}, "AccessDenied", NONE, "warn", "is not read: AccessDenied",
    ),
    "nothing has been read yet": ("vpc", {}, "", None, "unknown", "no pass has ended"),
    "its interfaces were not listed yet": ("vpc", {}, "", {}, "unknown", "not known"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_coverage(case: str) -> None:
    """What is not logged, delivered and read warns, with the reason; it never fails."""
    on, more, why, coverage, status, words = CASES[case]
    lab, endpoint = estate()
    where = {"vpc": endpoint.vpc_id, "subnet": endpoint.subnet_ids[0]}
    covering = tuple(log(where[on], **more) for _ in range(bool(on)))
    unread = {flow_log.id: why for flow_log in covering if why}
    lab.traffic[endpoint.id] = Traffic(coverage, covering, unread)
    found = finding("flow_log_coverage", endpoint, lab)
    assert (found.status, words in found.summary) == (status, True), found
    assert bool(found.fix) == (status == "warn")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"type": "GatewayLoadBalancer"}, "warn"),
        ({"type": "Resource"}, "warn"),
        ({"type": "ServiceNetwork"}, "warn"),
        ({"type": "Gateway"}, "not_applicable"),
        ({"interface_ids": ()}, "not_applicable"),
    ],
    ids=str,
)
def test_whom_it_concerns(more: dict[str, Any], status: str) -> None:
    """Whatever has interfaces is logged, a gateway endpoint has none."""
    lab, endpoint = estate(**more)
    lab.traffic[endpoint.id] = Traffic(NONE)
    assert finding("flow_log_coverage", endpoint, lab).status == status


@pytest.mark.parametrize("part", ["flow_logs", "interfaces"])
def test_what_could_not_be_listed(part: str) -> None:
    """That no flow log is seen is not that there is none."""
    lab, endpoint = estate()
    lab.traffic[endpoint.id] = Traffic(NONE)
    lab.instead[part] = DENIED
    found = finding("flow_log_coverage", endpoint, lab)
    assert (found.status, "AccessDenied" in found.summary) == ("unknown", True)


def test_blind_and_switched_off() -> None:
    """Why no pass has ended is told; a collector that is off is not judged."""
    lab, endpoint = estate()
    lab.blind["flow_logs"] = "the store is full"
    found = finding("flow_log_coverage", endpoint, lab)
    assert (found.status, "the store is full" in found.summary) == ("unknown", True)
    found = finding("flow_log_coverage", endpoint, lab, off=["flow_logs"])
    assert found.status == "not_applicable"


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-west-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("us-isof-south-1", "aws-iso-f"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_the_command_that_logs_what_is_not_logged(region: str, partition: str) -> None:
    """It names the interfaces that lack a flow log, and a shell takes the format literally."""
    lab, endpoint = estate(Scope("222233334444", region))
    covering = log(endpoint.subnet_ids[0])
    lab.traffic[endpoint.id] = Traffic(HALF, (covering,))
    fix = finding("flow_log_coverage", endpoint, lab).fix or ""
    words = shlex.split(fix.splitlines()[0])
    assert words[:3] == ["aws", "ec2", "create-flow-logs"]
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert given["--resource-ids"] == endpoint.interface_ids[1]
    assert given["--traffic-type"] == "ALL"
    assert given["--max-aggregation-interval"] == "60"
    assert given["--region"] == region
    assert (
        given["--deliver-logs-permission-arn"]
        == f"arn:{partition}:iam::222233334444:role/flow-logs"
    )
    for field in ("tcp-flags", "flow-direction", "pkt-srcaddr", "pkt-dstaddr"):
        assert f"${{{field}}}" in given["--log-format"]
    assert f"'{given['--log-format']}'" in fix


def test_what_lets_a_flow_log_deliver() -> None:
    """An access error is mended at the role, or at the bucket's policy."""
    for destination_type, words in (("cloud-watch-logs", "logs:PutLogEvents"), ("s3", "bucket")):
        lab, endpoint = estate()
        failing = log(
            endpoint.vpc_id,
            destination_type=destination_type,
            delivery_status="FAILED",
            delivery_error="Access error",
        )
        lab.traffic[endpoint.id] = Traffic(NONE, (failing,))
        found = finding("flow_log_coverage", endpoint, lab)
        assert words in (found.fix or "")
        assert "Access error" in found.evidence[-1]
