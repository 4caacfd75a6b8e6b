"""The inventory over HTTP: both ends, paged, counted, and truthful when AWS is not."""

from __future__ import annotations

import time
from collections import Counter
from math import ceil

import pytest

from exporter import metrics as m
from exporter.aws import listing
from exporter.config import Account, Discovery
from exporter.flowlogs.ingest import Report
from exporter.metrics import Sample
from exporter.model import Inventory, Known, Scope, Unavailable, last_known
from exporter.samples import samples
from exporter.simulator.faults import Fault
from exporter.simulator.organisation import MANAGEMENT
from exporter.simulator.server import Simulator
from exporter.world import Estate, World
from tests.aws.lists import CONSUMING, OWN, PROVIDING, calls, collect, reaching, value

WITHOUT = Scope(MANAGEMENT, "us-east-1")
# Listings in pages of 1,000, and those of other sizes; what has one page here has one call.
STATES = {
    "DescribeVpcEndpoints": "endpoints",
    "DescribeVpcEndpointServiceConfigurations": "services",
    "DescribeVpcEndpointConnections": "connections",
    "DescribeNetworkInterfaces": "interfaces",
    "DescribeFlowLogs": "flow_logs",
}
CONFIGURATION = {
    "DescribeSecurityGroups",
    "DescribeSecurityGroupRules",
    "DescribeNetworkAcls",
    "DescribeRouteTables",
    "DescribeVpcs",
    "DescribeSubnets",
    "DescribeVpcEndpointServices",
    "DescribeManagedPrefixLists",
    "DescribeVpcEndpointAssociations",
    "DescribeLoadBalancers",
    "DescribeTargetGroups",
}


def stated(found: Inventory) -> Counter[str]:
    """Return the calls of a first pass by the formula that docs/inventory.md states.

    Every listing that matters is one page here.
    """
    counts: Counter[str] = Counter(dict.fromkeys([*STATES, *CONFIGURATION], 1))
    if not value(found.services):
        for name in ("DescribeVpcEndpointConnections", "DescribeLoadBalancers"):
            counts[name] = 0
        counts["DescribeTargetGroups"] = 0
    if not value(found.endpoints):
        counts["DescribeVpcEndpointServices"] = 0
    if not value(found.endpoint_associations):
        counts["DescribeVpcEndpointAssociations"] = 0
    if not found.prefix_list_entries:
        counts["DescribeManagedPrefixLists"] = 0
    counts["DescribeVpcAttribute"] = 2 * len(value(found.vpcs))
    counts["GetManagedPrefixListEntries"] = len(found.prefix_list_entries)
    counts["DescribeVpcEndpointServicePermissions"] = len(value(found.services))
    counts["DescribeListeners"] = len(value(found.load_balancers))
    counts["DescribeLoadBalancerAttributes"] = len(value(found.load_balancers))
    counts["DescribeTargetGroupAttributes"] = len(value(found.target_groups))
    counts["DescribeTargetHealth"] = len(value(found.target_groups))
    return +counts


@pytest.mark.parametrize("scope", [CONSUMING, PROVIDING, OWN], ids=["consumer", "provider", "own"])
def test_the_number_of_calls(organised: Simulator, scope: Scope) -> None:
    """A call a page, two per VPC and load balancer, one per target group and so on; no more."""
    aws = reaching(scope)
    first = collect(aws, scope)
    assert first.problems() == {}
    assert calls(aws) == stated(first)
    seen = calls(aws)
    second = collect(aws, scope, first, age=300)
    steady = Counter({name: 1 for name in STATES if seen[name]})
    steady["DescribeTargetHealth"] = len(value(second.target_groups))
    assert calls(aws) - seen == +steady
    assert second.problems() == {}
    assert second.security_group_rules is first.security_group_rules
    # What was asked has another age than what was not.
    assert second.endpoints.as_of > first.endpoints.as_of  # type: ignore[union-attr]


def test_an_account_without_private_link(organised: Simulator) -> None:
    """Where nothing is, three calls find that out, and every part is known to be empty."""
    aws = reaching(WITHOUT)
    found = collect(aws, WITHOUT)
    assert calls(aws) == {
        "DescribeVpcEndpoints": 1,
        "DescribeVpcEndpointServiceConfigurations": 1,
        "DescribeSubnets": 1,
    }
    assert all(value(part) == {} for _, part in found.listings())


def test_configuration_is_asked_for_again(organised: Simulator) -> None:
    """When it is old, or when an endpoint or a service is new or changed."""
    aws = reaching(CONSUMING)
    first = collect(aws, CONSUMING, clock=lambda: 1000.0)
    young = collect(aws, CONSUMING, first, 300, clock=lambda: 1299.0)
    assert young.route_tables is first.route_tables
    old = collect(aws, CONSUMING, first, 300, clock=lambda: 1301.0)
    assert value(old.vpc_attributes[next(iter(old.vpc_attributes))])
    assert all(part.as_of == 1301 for _, part in old.listings())  # type: ignore[union-attr]
    table = organised.world.table("VpcEndpoints", *_where(CONSUMING))
    table[0]["Groups"] = []
    before = calls(aws)
    changed = collect(aws, CONSUMING, old, 300, clock=lambda: 1302.0)
    assert all(part.as_of == 1302 for _, part in changed.listings())  # type: ignore[union-attr]
    # What takes a call for each thing is not asked for again: the things are the same.
    assert calls(aws)["DescribeVpcAttribute"] == before["DescribeVpcAttribute"]


def test_pages_are_followed(organised: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pages give the same inventory as large ones, in as many calls as there are pages."""
    aws = reaching(CONSUMING, PROVIDING)
    large = {scope: collect(aws, scope, clock=lambda: 0.0) for scope in (CONSUMING, PROVIDING)}
    monkeypatch.setattr(listing, "PAGE", 5)
    monkeypatch.setattr(listing, "SMALLER_PAGES", dict.fromkeys(listing.SMALLER_PAGES, 5))
    before = calls(aws)
    for scope, found in large.items():
        assert collect(aws, scope, clock=lambda: 0.0) == found
    counts = calls(aws) - before
    rows = sum(len(value(found.endpoints)) for found in large.values())
    assert counts["DescribeVpcEndpoints"] >= ceil(rows / 5)
    rules = sum(len(value(found.security_group_rules)) for found in large.values())
    assert counts["DescribeSecurityGroupRules"] >= rules / 5
    assert counts["DescribeTargetGroups"] == ceil(len(value(large[PROVIDING].target_groups)) / 5)


def test_only_what_surrounds_endpoints_and_services(organised: Simulator) -> None:
    """Rules and interfaces of other VPCs are left out; subnets are all there."""
    aws = reaching(CONSUMING)
    found = collect(aws, CONSUMING)
    vpcs = {endpoint.vpc_id for endpoint in value(found.endpoints).values()}
    assert set(value(found.vpcs)) == vpcs == set(found.vpc_attributes)
    for part in (found.interfaces, found.network_acls, found.route_tables):
        assert {item.vpc_id for item in value(part).values()} <= vpcs
    groups = {rule.group_id for rule in value(found.security_group_rules).values()}
    assert groups <= set(value(found.security_groups))
    rows = organised.world.table("Subnets", *_where(CONSUMING))
    assert set(value(found.subnets)) == {row["SubnetId"] for row in rows}


def test_discovery(organised: Simulator) -> None:
    """Only endpoints of the wanted types with the wanted tags are watched."""
    aws = reaching(CONSUMING)
    everything = value(collect(aws, CONSUMING).endpoints).values()
    gateways = collect(aws, CONSUMING, discovery=Discovery(types=("Gateway",)))
    assert set(value(gateways.endpoints)) == {e.id for e in everything if e.type == "Gateway"}
    tagged = next(e for e in everything if "team" in e.tags)
    wanted = Discovery(tags={"team": (tagged.tags["team"],)})
    found = value(collect(aws, CONSUMING, discovery=wanted).endpoints).values()
    assert {e.tags.get("team") for e in found} == {tagged.tags["team"]}
    assert tagged in found
    any_team = collect(aws, CONSUMING, discovery=Discovery(tags={"team": ()}))
    assert set(value(any_team.endpoints)) == {e.id for e in everything if "team" in e.tags}


def test_what_to_look_for_is_unknown(organised: Simulator) -> None:
    """With neither endpoints nor services ever seen, what surrounds them is unknown, not empty."""
    aws = reaching(CONSUMING)
    organised.faults.faults = [
        Fault("denied", "ec2", "DescribeVpcEndpoints"),
        Fault("denied", "ec2", "DescribeVpcEndpointServiceConfigurations"),
    ]
    found = collect(aws, CONSUMING)
    parts = dict(found.listings())
    assert isinstance(parts.pop("subnets"), Known)
    assert {type(part) for part in parts.values()} == {Unavailable}
    assert "what to look for is unknown" in found.problems()["interfaces"]
    organised.faults.faults = []
    assert collect(aws, CONSUMING, found, 300).problems() == {}


def test_one_end_denied_leaves_the_other(organised: Simulator) -> None:
    """A consumer that may not list services sees its endpoints all the same, and the reverse."""
    aws = reaching(CONSUMING, PROVIDING)
    organised.faults.faults = [
        Fault("denied", operation="DescribeVpcEndpointServiceConfigurations")
    ]
    consumer = collect(aws, CONSUMING)
    assert set(consumer.problems()) == {
        "services",
        "connections",
        "load_balancers",
        "target_groups",
    }
    assert value(consumer.interfaces)
    organised.faults.faults = [Fault("denied", operation="DescribeVpcEndpoints")]
    provider = collect(aws, PROVIDING)
    assert set(provider.problems()) == {"endpoints", "service_details", "endpoint_associations"}
    assert value(provider.interfaces)


@pytest.mark.parametrize(
    ("scope", "operation", "part"),
    [
        (PROVIDING, "DescribeLoadBalancers", "load_balancers"),
        (PROVIDING, "DescribeVpcEndpointServiceConfigurations", "services"),
        (CONSUMING, "DescribeSecurityGroups", "security_groups"),
        (CONSUMING, "DescribeRouteTables", "route_tables"),
    ],
)
def test_what_depends_on_a_part_that_failed(
    organised: Simulator, scope: Scope, operation: str, part: str
) -> None:
    """Once the part is seen again, what was kept to what it names is listed again, at once."""
    aws = reaching(scope)
    truth = collect(aws, scope, clock=lambda: 0.0)
    organised.faults.faults = [Fault("throttled", operation=operation)]
    first = collect(aws, scope, clock=lambda: 0.0)
    assert part in first.problems()
    organised.faults.faults = []
    # Two passes: what a listing names may itself be named by another.
    second = collect(
        aws, scope, collect(aws, scope, first, 300, clock=lambda: 0.0), 300, clock=lambda: 0.0
    )
    assert second == truth


def test_a_new_group_while_groups_cannot_be_listed(organised: Simulator) -> None:
    """A new endpoint's rules are not taken for none because its group was not seen in time."""
    aws = reaching(CONSUMING)
    world = organised.world
    endpoint = world.row("VpcEndpoints", "VpcEndpointId", world.scenarios["sg-by-group"].id)
    table = world.table("VpcEndpoints", *_where(CONSUMING))
    table.remove(endpoint)
    wanted, all_groups = endpoint["Groups"][0], world.table("SecurityGroups", *_where(CONSUMING))
    groups = [group for group in all_groups if group["GroupId"] == wanted["GroupId"]]
    for group in groups:
        all_groups.remove(group)
    first = collect(aws, CONSUMING)
    table.append(endpoint)
    all_groups.extend(groups)
    organised.faults.faults = [Fault("throttled", operation="DescribeSecurityGroups")]
    second = collect(aws, CONSUMING, first, 300)
    assert set(second.problems()) == {"security_groups"}
    organised.faults.faults = []
    third = collect(aws, CONSUMING, second, 300)
    rules = value(third.security_group_rules).values()
    assert {r.group_id for r in rules} >= {g["GroupId"] for g in groups}


@pytest.mark.parametrize("operation", ["DescribeTargetGroups", "DescribeVpcEndpointConnections"])
def test_a_new_service_while_what_is_behind_it_cannot_be_listed(
    organised: Simulator, operation: str
) -> None:
    """Neither no target nor no connection is said of it: the listing is older than the service."""
    aws = reaching(PROVIDING)
    table = organised.world.table("ServiceConfigurations", *_where(PROVIDING))
    assert table
    new = table.pop(0)
    first = collect(aws, PROVIDING)
    table.append(new)
    organised.faults.faults = [Fault("throttled", operation=operation)]
    second = collect(aws, PROVIDING, first, 300).settled(time.time(), 900, 900)
    assert second.problems() == {}  # what was seen before stands
    counted = {s.metric.name for s in _of_service(second, new["ServiceId"])}
    missing = m.SERVICE_TARGETS if operation == "DescribeTargetGroups" else m.SERVICE_CONNECTIONS
    assert missing.name not in counted
    organised.faults.faults = []
    third = collect(aws, PROVIDING, second, 300)
    assert missing.name in {s.metric.name for s in _of_service(third, new["ServiceId"])}


def _of_service(inventory: Inventory, service_id: str) -> list[Sample]:
    world = World(0, "", "", (Estate(inventory.scope, inventory, None, (), Report()),))
    return [s for s in samples(world) if service_id in s.labels]


def test_a_target_group_that_is_replaced(organised: Simulator) -> None:
    """Gone between two configuration passes, it is dropped and the one in its place is found."""
    aws = reaching(PROVIDING)
    first = collect(aws, PROVIDING)
    table = organised.world.table("TargetGroups", *_where(PROVIDING))
    old = table[0]["TargetGroupArn"]
    table[0]["TargetGroupArn"] = new = old + "0"
    second = collect(aws, PROVIDING, first, 300)
    assert second.problems() == {}
    assert new in second.target_health
    assert old not in second.target_health
    assert new in value(second.target_groups)


def test_services_of_one_name(organised: Simulator) -> None:
    """S3 by gateway and by interface endpoints are two; other Regions' services are asked for."""
    found = collect(reaching(CONSUMING), CONSUMING)
    details = value(found.service_details).values()
    s3 = {d.types for d in details if d.service_name.endswith(".s3")}
    assert ("Gateway",) in s3
    elsewhere = Scope(CONSUMING.account, "us-east-1")
    abroad = collect(reaching(elsewhere), elsewhere)
    (crossing,) = [
        e for e in value(abroad.endpoints).values() if e.service_region == CONSUMING.region
    ]
    assert crossing.service_name in {d.service_name for d in value(abroad.service_details).values()}


def test_many_that_fail_alike_are_one_problem(organised: Simulator) -> None:
    """A denied call for each VPC is told once, with how many it concerns; each is unknown."""
    aws = reaching(CONSUMING)
    organised.faults.faults = [Fault("denied", "ec2", "DescribeVpcAttribute")]
    found = collect(aws, CONSUMING)
    (what,) = found.problems()
    vpcs = sorted(value(found.vpcs))
    assert what == f"vpc_attributes of {vpcs[0]} and {len(vpcs) - 1} more"
    assert all(isinstance(part, Unavailable) for part in found.vpc_attributes.values())


def test_details_that_hang_do_not_hold_up_the_rest(organised: Simulator) -> None:
    """Out of time, the details that are left are unknown and everything else is known."""
    found = collect(reaching(CONSUMING), CONSUMING, budget=-1)
    assert {name.split(" of ")[0] for name in found.problems()} == {
        "vpc_attributes",
        "prefix_list_entries",
    }
    assert organised.faults.calls["ec2:DescribeVpcAttribute"] == 0


def test_a_failure_after_a_success_keeps_what_was_seen(organised: Simulator) -> None:
    """A pass that fails stands on the one before until that is too old."""
    aws = reaching(PROVIDING)
    first = collect(aws, PROVIDING)
    organised.faults.faults = [Fault("denied")]
    second = collect(aws, PROVIDING, first)
    now = time.time()
    # What nothing needs is not asked for: that nothing does was seen.
    assert {name for name, part in second.listings() if isinstance(part, Known)} == {
        "endpoint_associations",
        "prefix_lists",
    }
    assert isinstance(second.settled(now, 900, 900).endpoints, Known)
    health = next(iter(second.target_health))
    assert isinstance(second.settled(now, 900, 900).target_health[health], Known)
    late = second.settled(now + 1000, 900, 900)
    assert isinstance(late.services, Unavailable)
    assert isinstance(late.target_health[health], Unavailable)
    assert last_known(late.services) == value(first.services)


def test_a_change_of_role_takes_another_client(organised: Simulator) -> None:
    """A scope that is reached by another role from now on is; a forgotten one has no client."""
    aws = reaching(CONSUMING)
    first = aws.client(CONSUMING, "ec2")
    assert aws.client(CONSUMING, "ec2") is first
    organised.world.roles.add("arn:aws:iam::222233334444:role/other")
    role = "arn:aws:iam::222233334444:role/other"
    aws.reach(CONSUMING, Account(role_arn=role, external_id="example-id", regions=("eu-west-1",)))
    assert aws.client(CONSUMING, "ec2") is not first
    assert value(collect(aws, CONSUMING).endpoints)
    before = aws.requests()
    aws.forget(CONSUMING)
    assert aws.requests() == before
    with pytest.raises(KeyError):
        aws.client(CONSUMING, "ec2")


def _where(scope: Scope) -> tuple[str, str]:
    return scope.account, scope.region
