"""The organisation is consistent, and each scenario has its one fault and no other."""

from __future__ import annotations

import json
import re
from collections import Counter
from ipaddress import ip_address, ip_network

import pytest

from exporter.simulator import network
from exporter.simulator.names import addresses_of
from exporter.simulator.organisation import CONSUMER, PROVIDER, organisation
from exporter.simulator.state import Row, Scenario, World
from exporter.simulator.world import small_world

WORLD = organisation()
ENDPOINT_CHECKS = {
    "endpoint_state",
    "private_dns",
    "dns_resolution",
    "security_group",
    "network_acl",
    "route",
    "availability_zones",
    "endpoint_policy",
    "flow_log_coverage",
}
SERVICE_CHECKS = {
    "service_state",
    "service_private_dns",
    "acceptance",
    "nlb_listener",
    "nlb_targets",
    "nlb_security_group",
    "target_security_group",
}
ENDPOINTS = [s for s in WORLD.scenarios.values() if s.kind == "endpoint"]


def row_of(scenario: Scenario) -> Row:
    if scenario.kind == "endpoint":
        return WORLD.row("VpcEndpoints", "VpcEndpointId", scenario.id)
    return WORLD.row("ServiceConfigurations", "ServiceId", scenario.id)


def rows(world: World, table: str) -> list[Row]:
    """Return a table's rows everywhere, those that two accounts share once."""
    found = [row for tables in world.tables.values() for row in tables.get(table, ())]
    return list({id(row): row for row in found}.values())


def interfaces(endpoint: Row) -> list[Row]:
    return [
        WORLD.row("NetworkInterfaces", "NetworkInterfaceId", i)
        for i in endpoint["NetworkInterfaceIds"]
    ]


def test_every_cause_has_a_scenario() -> None:
    """Each check of the design, of endpoints and of services, is broken in one scenario."""
    broken = {(s.kind, s.check) for s in WORLD.scenarios.values() if s.check}
    assert {("endpoint", c) for c in ENDPOINT_CHECKS} <= broken
    assert {("service", c) for c in SERVICE_CHECKS} <= broken
    assert {c for kind, c in broken if kind == "endpoint"} - ENDPOINT_CHECKS <= SERVICE_CHECKS
    assert {s.status for s in WORLD.scenarios.values()} == {"pass", "warn", "fail", "unknown"}
    assert all((s.check is None) == (s.status == "pass") for s in WORLD.scenarios.values())


def test_names_lead_to_scenarios() -> None:
    """Every endpoint and service is a scenario, in its account and Region, by its Name tag."""
    endpoints, services = rows(WORLD, "VpcEndpoints"), rows(WORLD, "ServiceConfigurations")
    by_id = {s.id: s for s in WORLD.scenarios.values()}
    assert len(by_id) == len(endpoints) + len(services) == len(WORLD.scenarios)
    for table, key in (("VpcEndpoints", "VpcEndpointId"), ("ServiceConfigurations", "ServiceId")):
        for row in rows(WORLD, table):
            scenario = by_id[row[key]]
            assert row["Tags"][0] == {"Key": "Name", "Value": scenario.name}
            assert re.fullmatch("[a-z0-9-]{1,30}", scenario.name)
            where, _ = WORLD.find(table, key, row[key])
            assert where == (scenario.account, scenario.region)


def test_every_type_and_state() -> None:
    """The organisation has endpoints of each type, and in each state."""
    endpoints = rows(WORLD, "VpcEndpoints")
    kinds = {"Interface", "Gateway", "GatewayLoadBalancer", "Resource", "ServiceNetwork"}
    assert {e["VpcEndpointType"] for e in endpoints} == kinds
    assert {e["State"] for e in endpoints} == {
        "available",
        "pendingAcceptance",
        "pending",
        "rejected",
        "failed",
        "expired",
        "partial",
        "deleting",
        "migrating",
    }


@pytest.mark.parametrize("world", [WORLD, small_world()], ids=["organisation", "demo"])
def test_addresses_lie_in_their_subnets(world: World) -> None:
    """Each interface has addresses of its subnet that nobody else has; subnets lie in their VPC."""
    subnets = {s["SubnetId"]: s for s in rows(world, "Subnets")}
    vpcs = {v["VpcId"]: v for v in rows(world, "Vpcs")}
    seen: Counter[tuple[str, str]] = Counter()
    for interface in rows(world, "NetworkInterfaces"):
        subnet = subnets[interface["SubnetId"]]
        blocks = [subnet["CidrBlock"]]
        blocks += [a["Ipv6CidrBlock"] for a in subnet["Ipv6CidrBlockAssociationSet"]]
        own = addresses_of(interface)
        assert own
        for address in own:
            assert any(ip_address(address) in ip_network(block) for block in blocks)
            seen[interface["VpcId"], address] += 1
        assert interface["AvailabilityZoneId"] == subnet["AvailabilityZoneId"]
        assert interface["VpcId"] == subnet["VpcId"]
    assert set(seen.values()) == {1}
    for subnet in subnets.values():
        inside, outside = subnet["CidrBlock"], vpcs[subnet["VpcId"]]["CidrBlock"]
        assert ip_network(inside).subnet_of(ip_network(outside))  # type: ignore[arg-type]


ID = re.compile(r"\b(?:vpc|subnet|sg|eni|acl|rtb|pl|vpce|vpce-svc|sgr|fl)-[0-9a-f]{8,17}\b")


@pytest.mark.parametrize("world", [WORLD, small_world()], ids=["organisation", "demo"])
def test_what_is_referred_to_exists(world: World) -> None:
    """Every id in a row is that of a row."""
    own = {
        row[key]
        for table, key in (
            ("Vpcs", "VpcId"),
            ("Subnets", "SubnetId"),
            ("SecurityGroups", "GroupId"),
            ("SecurityGroupRules", "SecurityGroupRuleId"),
            ("NetworkInterfaces", "NetworkInterfaceId"),
            ("NetworkAcls", "NetworkAclId"),
            ("RouteTables", "RouteTableId"),
            ("ManagedPrefixLists", "PrefixListId"),
            ("VpcEndpoints", "VpcEndpointId"),
            ("ServiceConfigurations", "ServiceId"),
            ("FlowLogs", "FlowLogId"),
            ("AwsServices", "ServiceId"),
        )
        for row in rows(world, table)
    }
    # The demo's providers are of other organisations.
    if world is not WORLD:
        own |= {e["ServiceName"].rpartition(".")[2] for e in rows(world, "VpcEndpoints")}
    for tables in world.tables.values():
        for table, found in tables.items():
            if table != "Events":
                text = json.dumps(found, default=str)
                assert set(ID.findall(text)) - own == set(), table


def test_both_sides_of_a_connection_agree() -> None:
    """Consumer and provider have the same connections, in the same states."""
    services = {s["ServiceName"]: s["ServiceId"] for s in rows(WORLD, "ServiceConfigurations")}
    ours = {
        (
            e["VpcEndpointId"],
            services[e["ServiceName"]],
            e["State"],
            e["OwnerId"],
            e["CreationTimestamp"],
        )
        for e in rows(WORLD, "VpcEndpoints")
        if e.get("ServiceName") in services
    }
    theirs = {
        (
            c["VpcEndpointId"],
            c["ServiceId"],
            c["VpcEndpointState"],
            c["VpcEndpointOwner"],
            c["CreationTimestamp"],
        )
        for c in WORLD.table("VpcEndpointConnections", PROVIDER)
    }
    assert ours == theirs
    regions = {c["VpcEndpointRegion"] for c in WORLD.table("VpcEndpointConnections", PROVIDER)}
    assert regions == {"eu-west-1", "us-east-1"}


def test_a_shared_vpc_is_listed_twice() -> None:
    """Owner and participant list the same endpoint, and both say whose it is."""
    shared = WORLD.scenarios["shared-vpc"].id
    listed = [
        (where[0], row["OwnerId"])
        for where, tables in WORLD.tables.items()
        for row in tables.get("VpcEndpoints", ())
        if row["VpcEndpointId"] == shared
    ]
    assert sorted(listed) == [(CONSUMER, CONSUMER), (PROVIDER, CONSUMER)]


def rules_block(scenario: Scenario) -> set[str]:
    """Return the checks that a packet of the scenario's clients fails, by the naive evaluator."""
    endpoint = row_of(scenario)
    found = set()
    for flow in WORLD.traffic:
        if flow.endpoint_id != scenario.id:
            continue
        client = WORLD.row("NetworkInterfaces", "NetworkInterfaceId", flow.client_interface_id)
        for interface in interfaces(endpoint):
            way = network.passage(WORLD, client, interface, flow.port)
            if way.connects:
                continue
            here, there = network.common_family(client, interface) or ("", "")
            groups = network.groups_allow(
                WORLD, client, True, there, flow.port, interface
            ) and network.groups_allow(WORLD, interface, False, here, flow.port, client)
            found.add("network_acl" if groups else "security_group")
    return found


@pytest.mark.parametrize("scenario", ENDPOINTS, ids=lambda s: s.name)
def test_rules_block_where_they_are_said_to(scenario: Scenario) -> None:
    """Groups and ACLs let the clients through, but where that is the fault."""
    if row_of(scenario)["VpcEndpointType"] == "Gateway":
        return
    expected = {scenario.check} & {"security_group", "network_acl"}
    assert rules_block(scenario) == expected


def gateway_faults(scenario: Scenario) -> set[str]:
    """Return what keeps the clients of a gateway endpoint from it."""
    endpoint, found = row_of(scenario), set()
    lists = WORLD.table("ManagedPrefixLists", scenario.account, scenario.region)
    prefix = next(p for p in lists if p["PrefixListName"] == endpoint["ServiceName"])
    for flow in [f for f in WORLD.traffic if f.endpoint_id == scenario.id]:
        client = WORLD.row("NetworkInterfaces", "NetworkInterfaceId", flow.client_interface_id)
        routes = network.route_table_of(WORLD, client["SubnetId"])["Routes"]
        if not any(
            r.get("DestinationPrefixListId") == prefix["PrefixListId"]
            and r["GatewayId"] == scenario.id
            and r["State"] == "active"
            for r in routes
        ):
            found.add("route")
        target = str(ip_network(prefix["Entries"][0]["Cidr"])[1])
        if not network.groups_allow(WORLD, client, True, target, flow.port, None):
            found.add("security_group")
    return found


@pytest.mark.parametrize(
    "scenario",
    [s for s in ENDPOINTS if row_of(s)["VpcEndpointType"] == "Gateway"],
    ids=lambda s: s.name,
)
def test_gateway_endpoints(scenario: Scenario) -> None:
    """A gateway endpoint has an active route, and egress to its prefix list, but for its fault."""
    assert gateway_faults(scenario) == ({scenario.check} if scenario.check else set())


@pytest.mark.parametrize("scenario", ENDPOINTS, ids=lambda s: s.name)
def test_everything_but_the_fault_is_right(scenario: Scenario) -> None:
    """State, policy, attributes, zones, routes and flow logs are right, but for the one fault."""
    endpoint, check = row_of(scenario), scenario.check
    wrong = names_wrong(endpoint) | paths_wrong(scenario, endpoint)
    if endpoint["State"] not in ("available", "deleting"):
        wrong.add("endpoint_state")
    if '"Deny"' in endpoint["PolicyDocument"]:
        wrong.add("endpoint_policy")
    elsewhere = {"security_group", "network_acl", *SERVICE_CHECKS}
    if endpoint["VpcEndpointType"] == "Gateway":
        elsewhere.add("route")
    assert wrong == ({check} if check and check not in elsewhere else set())


def names_wrong(endpoint: Row) -> set[str]:
    """Return what is wrong with an endpoint's names in its own VPC."""
    wrong = set()
    vpc = WORLD.row("Vpcs", "VpcId", endpoint["VpcId"])
    if endpoint["PrivateDnsEnabled"] and not all(vpc["Attributes"].values()):
        wrong.add("private_dns")
    own = {a for i in interfaces(endpoint) for a in addresses_of(i)}
    private = private_name(endpoint)
    inbound = endpoint.get("DnsOptions", {}).get("PrivateDnsOnlyForInboundResolverEndpoint")
    if private and not inbound and not set(resolved(vpc["VpcId"], private)) <= own:
        wrong.add("private_dns")
    for entry in endpoint["DnsEntries"]:
        name = entry["DnsName"]
        if "vpce" in name and WORLD.names.get(vpc["VpcId"], {}).get(name) == []:
            wrong.add("dns_resolution")
    return wrong


def paths_wrong(scenario: Scenario, endpoint: Row) -> set[str]:
    """Return what is wrong with an endpoint's zones, flow logs and the routes to it."""
    wrong = set()
    own = {i["AvailabilityZoneId"] for i in interfaces(endpoint)}
    # In another Region than the service's zones are not compared.
    if scenario.region == "eu-west-1" and not own <= zones_of_service(endpoint):
        wrong.add("availability_zones")
    logs = [f for i in interfaces(endpoint) for f in flow_logs(i)]
    covered = [f for f in logs if f["DeliverLogsStatus"] == "SUCCESS" and f["TrafficType"] == "ALL"]
    if endpoint["NetworkInterfaceIds"] and not covered:
        wrong.add("flow_log_coverage")
    if endpoint["VpcEndpointType"] == "GatewayLoadBalancer":
        routes = [
            r
            for t in WORLD.table("RouteTables", scenario.account)
            for r in t["Routes"]
            if r.get("GatewayId") == scenario.id
        ]
        assert routes
        if any(r["State"] != "active" for r in routes):
            wrong.add("route")
    return wrong


def private_name(endpoint: Row) -> str:
    """Return the name that its clients use, of AWS's services also when private DNS is off."""
    if endpoint["State"] not in ("available", "partial"):
        return ""
    if endpoint["VpcEndpointType"] != "Interface":
        return ""
    names = [e["DnsName"] for e in endpoint["DnsEntries"] if "vpce" not in e["DnsName"]]
    if names:
        return str(names[0])
    service = str(endpoint["ServiceName"])
    if "vpce-svc" in service:
        return ""
    return ".".join(reversed(service.split(".")[2:])) + ".amazonaws.com"


def resolved(view: str, name: str) -> list[str]:
    found = WORLD.names.get(view, {}).get(name) or WORLD.names[""].get(name, [])
    if found and found[0].startswith("CNAME "):
        return resolved(view, found[0].removeprefix("CNAME "))
    return found


def zones_of_service(endpoint: Row) -> set[str]:
    name = endpoint.get("ServiceName", "")
    for table in ("ServiceConfigurations", "AwsServices"):
        for row in rows(WORLD, table):
            if row["ServiceName"] == name:
                return set(row["AvailabilityZoneIds"])
    return {i["AvailabilityZoneId"] for i in interfaces(endpoint)}


def flow_logs(interface: Row) -> list[Row]:
    resources = {interface[k] for k in ("NetworkInterfaceId", "SubnetId", "VpcId")}
    return [f for f in rows(WORLD, "FlowLogs") if f["ResourceId"] in resources]


def service_faults(service: Row) -> set[str]:
    """Return what is wrong with a service and what stands behind it."""
    wrong = set()
    if service["ServiceState"] == "Failed":
        wrong.add("service_state")
    state = service.get("PrivateDnsNameConfiguration", {}).get("State", "verified")
    if state != "verified":
        wrong.add("service_private_dns")
    connections = WORLD.table("VpcEndpointConnections", PROVIDER)
    own = [c for c in connections if c["ServiceId"] == service["ServiceId"]]
    if any(c["VpcEndpointState"] == "pendingAcceptance" for c in own):
        wrong.add("acceptance")
    arns = service.get("NetworkLoadBalancerArns") or service.get("GatewayLoadBalancerArns")
    assert arns
    balancer = WORLD.row("LoadBalancers", "LoadBalancerArn", arns[0])
    listeners = [r for r in rows(WORLD, "Listeners") if r["LoadBalancerArn"] == arns[0]]
    if not listeners or listeners[0].get("Port", 443) != 443:
        wrong.add("nlb_listener")
    groups = [g for g in rows(WORLD, "TargetGroups") if arns[0] in g["LoadBalancerArns"]]
    health = [d["TargetHealth"]["State"] for g in groups for d in g["TargetHealth"]]
    if "unhealthy" in health:
        wrong.add("nlb_targets")
    own_interfaces = [
        i
        for i in rows(WORLD, "NetworkInterfaces")
        if f"/{arns[0].rpartition('/')[2]}" in i["Description"]
    ]
    for target in [d["Target"] for g in groups for d in g["TargetHealth"]]:
        interface = next(
            i for i in rows(WORLD, "NetworkInterfaces") if i.get("PrivateIpAddress") == target["Id"]
        )
        if balancer["Type"] == "network" and not all(
            network.passage(WORLD, i, interface, target["Port"]).connects for i in own_interfaces
        ):
            wrong.add("target_security_group")
    if balancer.get("SecurityGroups"):
        clients = [
            f.client_interface_id
            for f in WORLD.traffic
            if f.endpoint_id in {c["VpcEndpointId"] for c in own}
        ]
        assert clients
        for client in clients:
            row = WORLD.row("NetworkInterfaces", "NetworkInterfaceId", client)
            address = row["PrivateIpAddress"]
            if not network.groups_allow(WORLD, own_interfaces[0], False, address, 443, row):
                wrong.add("nlb_security_group")
    return wrong


def test_flow_logs_go_everywhere() -> None:
    """Text, Parquet and Hive's layout in buckets, one log group for Insights, the rest as ever."""
    found = {
        f["LogDestination"].removeprefix("arn:aws:s3:::"): f["DestinationOptions"]
        for f in rows(WORLD, "FlowLogs")
        if f["LogDestinationType"] == "s3"
    }
    options = {k: tuple(v.values()) for k, v in found.items()}
    assert options == {
        "flow-logs-groups/vpc/": ("plain-text", False, False),
        "flow-logs-six": ("parquet", False, False),
        "flow-logs-shared": ("plain-text", True, True),
    }
    assert WORLD.buckets == {
        (CONSUMER, "eu-west-1"): ["flow-logs-six", "flow-logs-groups", "flow-logs-shared"],
    }
    (queue,) = WORLD.queues[CONSUMER, "eu-west-1"]
    assert (queue.bucket, queue.envelope) == ("flow-logs-six", "plain")
    assert WORLD.log_groups[CONSUMER, "us-east-1"] == ["/insights/far"]
    # Each has traffic, and endpoints in which nothing is wrong.
    checks = {
        s.check
        for s in WORLD.scenarios.values()
        if s.kind == "endpoint"
        and any(
            f["LogDestinationType"] == "s3" or f["LogGroupName"].startswith("/insights")
            for i in interfaces(row_of(s))
            for f in flow_logs(i)
        )
    }
    assert checks == {None}


@pytest.mark.parametrize(
    "scenario", [s for s in WORLD.scenarios.values() if s.kind == "service"], ids=lambda s: s.name
)
def test_services_have_their_fault(scenario: Scenario) -> None:
    """A service has the fault that it is said to have, and no other."""
    assert service_faults(row_of(scenario)) == ({scenario.check} if scenario.check else set())


def test_the_same_seed_gives_the_same_ids() -> None:
    """Who looks at the demo again finds what was there."""
    again, other = organisation(1), organisation(2)
    ids = {s.name: s.id for s in WORLD.scenarios.values()}
    assert {s.name: s.id for s in again.scenarios.values()} == ids
    assert {s.name: s.id for s in other.scenarios.values()} != ids


def test_only_addresses_and_accounts_of_documentation() -> None:
    """Nothing in the organisation can be anybody's: accounts and public addresses are reserved."""
    text = json.dumps(list(WORLD.tables.values()), default=str)
    accounts = set(re.findall(r"(?<![0-9a-f.-])\d{12}(?![0-9a-f.])", text))
    assert accounts <= {"111122223333", "222233334444", "444455556666", "727180483921"}
    documentation = [ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    for address in set(re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", text)) - {"0.0.0.0"}:
        parsed = ip_address(address)
        assert parsed.is_private or any(parsed in net for net in documentation), address
