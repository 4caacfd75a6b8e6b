"""The inventory over HTTP: paged, counted, and truthful when AWS is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import botocore.config
import pytest

from exporter.aws import inventory
from exporter.aws.session import CLIENT_CONFIG, Aws
from exporter.config import Account
from exporter.model import Inventory, Known, Scope, Unavailable
from exporter.simulator.faults import Fault
from exporter.simulator.server import Simulator
from exporter.simulator.world import ACCOUNT, REGION, Builder, World

SCOPE = Scope(ACCOUNT, REGION)
IMPATIENT = CLIENT_CONFIG.merge(
    botocore.config.Config(read_timeout=0.5, retries={"mode": "standard", "total_max_attempts": 2})
)


@pytest.fixture
def listed(simulated: Simulator) -> tuple[Aws, Callable[[], Inventory]]:
    """Access to the simulator, and a pass of the inventory."""
    aws = Aws((), config=IMPATIENT)
    assert aws.scopes() == ((SCOPE,), {})
    return aws, lambda: inventory.collect(aws.client(SCOPE, "ec2"), SCOPE, time.time)


def test_everything_is_listed(listed: tuple[Aws, Callable[[], Inventory]], world: World) -> None:
    """Endpoints in every state, their interfaces, VPCs with both attributes, subnets, flow logs."""
    found = listed[1]()
    assert found.problems() == {}
    assert isinstance(found.endpoints, Known)
    assert isinstance(found.interfaces, Known)
    assert isinstance(found.vpcs, Known)
    assert isinstance(found.subnets, Known)
    assert isinstance(found.flow_logs, Known)
    endpoints = {e.name: e for e in found.endpoints.value.values()}
    assert {name: e.state for name, e in endpoints.items()} == {
        "secrets": "available",
        "ledger": "pending_acceptance",
        "reports": "rejected",
        "payments": "available",
        "queue": "available",
        "metrics": "available",
    }
    assert "refused" not in (endpoints["reports"].last_error or "")
    assert endpoints["reports"].last_error == (
        "ConnectionRejected: The endpoint service owner rejected the connection."
    )
    assert sorted(n.kind for n in endpoints["secrets"].dns_names) == [
        "private",
        "regional",
        "zonal",
        "zonal",
    ]
    assert len(found.interfaces.value) == 12
    hostnames = {v.id: v.dns_hostnames for v in found.vpcs.value.values()}
    legacy = hostnames[endpoints["queue"].vpc_id]
    assert isinstance(legacy, Known)
    assert legacy.value is False
    assert len(found.subnets.value) == 6
    assert {f.destination for f in found.flow_logs.value.values()} == {"/vpc/shop", "/vpc/legacy"}


def test_the_number_of_calls(listed: tuple[Aws, Callable[[], Inventory]], world: World) -> None:
    """One call a page, two per VPC that holds endpoints, nothing per endpoint."""
    build = Builder(world, 7)
    vpc = build.vpc("10.9.0.0/16", "large")
    group = build.security_group(vpc, "large")
    for i in range(60):
        build.endpoint(vpc, f"e{i}", "com.amazonaws.eu-west-1.sqs", group_id=group)
    build.vpc("10.8.0.0/16", "without endpoints")
    aws, collect = listed
    found = collect()
    assert isinstance(found.endpoints, Known)
    assert len(found.endpoints.value) == 66
    counts = {key.operation: n for key, n in aws.requests().items() if key.service == "ec2"}
    assert counts == {
        "DescribeVpcEndpoints": 1,
        "DescribeNetworkInterfaces": 1,
        "DescribeVpcs": 1,
        "DescribeSubnets": 1,
        "DescribeFlowLogs": 1,
        "DescribeVpcAttribute": 8,
    }


def test_pages_are_followed(
    listed: tuple[Aws, Callable[[], Inventory]], simulated: Simulator
) -> None:
    """More than a page's worth is listed whole."""
    simulated.world.table("Subnets").extend(
        {"SubnetId": f"subnet-{i:08x}", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24"}
        for i in range(2500)
    )
    found = listed[1]()
    assert isinstance(found.subnets, Known)
    assert len(found.subnets.value) == 2506
    assert simulated.faults.calls["ec2:DescribeSubnets"] == 3


PARTS = {
    "DescribeVpcEndpoints": {"endpoints", "interfaces", "vpcs"},
    "DescribeNetworkInterfaces": {"interfaces"},
    "DescribeVpcs": {"vpcs"},
    "DescribeSubnets": {"subnets"},
    "DescribeFlowLogs": {"flow_logs"},
}


@pytest.mark.parametrize(
    "kind", ["denied", "throttled", "error", "expired", "dropped", "malformed"]
)
@pytest.mark.parametrize("operation", PARTS)
def test_a_failed_call_is_unavailable_and_nothing_else(
    listed: tuple[Aws, Callable[[], Inventory]], simulated: Simulator, operation: str, kind: str
) -> None:
    """However a call fails, its part says so and is no empty list; the other parts are known."""
    simulated.faults.faults = [Fault(kind, "ec2", operation)]
    aws, collect = listed
    found = collect()
    unavailable = {name for name, part in found.parts() if isinstance(part, Unavailable)}
    assert unavailable == PARTS[operation]
    expected = {"denied": "denied", "expired": "denied", "throttled": "throttled"}.get(
        kind, "error"
    )
    if kind != "malformed":  # a success whose body cannot be read is one by its status
        outcomes = {k.outcome for k in aws.requests() if k.operation == operation}
        assert outcomes == {expected}
    failed = dict(found.parts())[min(PARTS[operation])]
    assert isinstance(failed, Unavailable)
    assert failed.outcome == expected
    assert failed.last is None


def test_a_slow_call_times_out(
    listed: tuple[Aws, Callable[[], Inventory]], simulated: Simulator
) -> None:
    """A call that is not answered in time is given up, retried, and then unavailable."""
    simulated.faults.faults = [Fault("timeout", "ec2", "DescribeSubnets", seconds=1)]
    aws, collect = listed
    found = collect()
    assert isinstance(found.subnets, Unavailable)
    assert "imeout" in found.subnets.reason
    assert {n for k, n in aws.requests().items() if k.operation == "DescribeSubnets"} == {2}


def test_a_denied_attribute_is_unknown_not_false(
    listed: tuple[Aws, Callable[[], Inventory]], simulated: Simulator
) -> None:
    """A VPC whose attributes may not be read is listed, its attributes unknown."""
    simulated.faults.faults = [Fault("denied", "ec2", "DescribeVpcAttribute")]
    found = listed[1]()
    assert isinstance(found.vpcs, Known)
    assert all(isinstance(v.dns_support, Unavailable) for v in found.vpcs.value.values())
    assert len(found.problems()) == 3


def test_attributes_that_hang_do_not_hold_up_the_rest(
    listed: tuple[Aws, Callable[[], Inventory]], simulated: Simulator
) -> None:
    """Out of time, the attributes that are left are unknown and everything else is known."""
    aws, _ = listed
    found = inventory.collect(aws.client(SCOPE, "ec2"), SCOPE, time.time, budget=-1)
    assert {what.split(".")[0] for what in found.problems()} == {"vpcs"}
    assert simulated.faults.calls["ec2:DescribeVpcAttribute"] == 0


def test_a_name_listed_twice_is_one() -> None:
    """A repeated DNS name gives one series, whatever its spelling."""
    entries = [{"DnsName": "a.example.com"}, {"DnsName": "A.example.com."}]
    row = {"VpcEndpointId": "vpce-0a1", "DnsEntries": entries}
    assert len(inventory.endpoint(row, SCOPE).dns_names) == 1


def test_a_failure_after_a_success_keeps_what_was_seen(
    listed: tuple[Aws, Callable[[], Inventory]], simulated: Simulator
) -> None:
    """A later pass that fails stands on the earlier one until that is too old."""
    first = listed[1]()
    simulated.faults.faults = [Fault("denied", "ec2")]
    second = listed[1]().carried(first)
    soon, late = time.time(), time.time() + 1000
    assert isinstance(second.settled(soon, 900).endpoints, Known)
    aged = second.settled(late, 900).endpoints
    assert isinstance(aged, Unavailable)
    assert aged.last is not None
    assert len(aged.last.value) == 6


def test_a_role_is_assumed_with_its_external_id(simulated: Simulator) -> None:
    """A configured role is assumed once; its account's resources are listed, not the own one's."""
    role = Account(
        role_arn="arn:aws:iam::444455556666:role/privatelink-exporter",
        external_id="example-id",
        regions=("eu-west-1", "us-east-1"),
    )
    aws = Aws((role, Account(regions=("eu-west-1",))))
    (there, elsewhere, own), _ = aws.scopes()
    assert (there, elsewhere) == (
        Scope("444455556666", "eu-west-1"),
        Scope("444455556666", "us-east-1"),
    )
    assert own == SCOPE
    simulated.world.tables["444455556666", "eu-west-1"] = {
        "VpcEndpoints": [{"VpcEndpointId": "vpce-0a1", "State": "Failed", "VpcId": "vpc-0a1"}]
    }
    found = inventory.collect(aws.client(there, "ec2"), there, time.time)
    assert isinstance(found.endpoints, Known)
    assert [(e.id, e.state) for e in found.endpoints.value.values()] == [("vpce-0a1", "failed")]
    nothing = inventory.collect(aws.client(elsewhere, "ec2"), elsewhere, time.time)
    assert isinstance(nothing.endpoints, Known)
    assert nothing.endpoints.value == {}
    counts = {k.operation: (k.account, n) for k, n in aws.requests().items() if k.service == "sts"}
    assert counts["AssumeRole"] == ("444455556666", 1)
    assert aws.client(there, "ec2") is aws.client(there, "ec2")


def test_an_account_given_twice_is_listed_once(simulated: Simulator) -> None:
    """The process's own account, configured with a role as well, must not be counted twice."""
    role = Account(role_arn=f"arn:aws:iam::{ACCOUNT}:role/x", regions=(REGION,))
    scopes, problems = Aws((Account(regions=(REGION, "us-east-1")), role)).scopes()
    assert scopes == (SCOPE, Scope(ACCOUNT, "us-east-1"))
    assert "the role is used" in problems[f"{ACCOUNT} {REGION}"]


def test_one_account_failing_leaves_the_others(simulated: Simulator) -> None:
    """Without GetCallerIdentity the roles' accounts are known; a denied role fails alone."""
    simulated.faults.faults = [Fault("denied", "sts", "GetCallerIdentity")]
    role = Account(role_arn="arn:aws:iam::444455556666:role/x", regions=(REGION,))
    aws = Aws((Account(regions=(REGION,)), role), config=IMPATIENT)
    there = Scope("444455556666", REGION)
    scopes, problems = aws.scopes()
    assert scopes == (there,)
    assert "AccessDenied" in problems["own account"]
    simulated.faults.faults = [Fault("denied", "sts", "AssumeRole")]
    assert aws.scopes() == ((there, SCOPE), {})
    denied = inventory.collect(aws.client(there, "ec2"), there, time.time)
    assert {name for name, part in denied.parts() if isinstance(part, Unavailable)} == {
        "endpoints",
        "interfaces",
        "vpcs",
        "subnets",
        "flow_logs",
    }
    assert isinstance(denied.endpoints, Unavailable)
    assert denied.endpoints.outcome == "denied"
    own = inventory.collect(aws.client(SCOPE, "ec2"), SCOPE, time.time)
    assert own.problems() == {}


def test_rows_of_older_and_partial_answers() -> None:
    """What an answer leaves out is tolerated; what identifies a row is not."""
    row = {"VpcEndpointId": "vpce-0a1", "VpcId": "vpc-0a1", "State": "Available"}
    endpoint = inventory.endpoint(row, SCOPE)
    assert (endpoint.type, endpoint.state, endpoint.dns_names) == ("Gateway", "available", ())
    with pytest.raises(KeyError):
        inventory.endpoint({"State": "available"}, SCOPE)
    group = inventory.flow_log(
        {
            "FlowLogId": "fl-1",
            "ResourceId": "vpc-1",
            "LogDestination": "arn:aws:logs:eu-west-1:111122223333:log-group:/a/b:*",
        }
    )
    assert group.destination == "/a/b"
    assert replace(group, destination="x").aggregation == 600
