"""Endpoints are modified and deleted: their routes, names, interfaces and policy follow."""

from __future__ import annotations

import json
from typing import Any

from exporter.simulator import network
from exporter.simulator.builder import ALLOW_ALL
from exporter.simulator.organisation import CONSUMER, PROVIDER
from exporter.simulator.scenarios_healthy import S3_PREFIX_LIST
from exporter.simulator.server import Simulator
from exporter.simulator.state import PUBLIC, REGION, Row
from tests.simulator.conftest import clients_of, newest


def row(simulator: Simulator, name: str) -> Row:
    world = simulator.world
    return world.row("VpcEndpoints", "VpcEndpointId", world.scenarios[name].id)


def test_route_tables_of_gateway_endpoints(changing: Simulator) -> None:
    """A table that is added gets the route for the prefix list; one that is removed loses it."""
    client = clients_of(changing)
    ec2, world = client("ec2", CONSUMER), changing.world
    endpoint = row(changing, "gateway-no-route")
    flow = next(f for f in world.traffic if f.endpoint_id == endpoint["VpcEndpointId"])
    interface = world.row("NetworkInterfaces", "NetworkInterfaceId", flow.client_interface_id)
    table = network.route_table_of(world, interface["SubnetId"])["RouteTableId"]
    where = {"VpcEndpointId": endpoint["VpcEndpointId"]}

    def routes() -> list[tuple[str, str]]:
        (found,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
        return [
            (r["GatewayId"], r["State"])
            for r in found["Routes"]
            if r.get("DestinationPrefixListId") == S3_PREFIX_LIST
        ]

    assert routes() == []
    assert ec2.modify_vpc_endpoint(**where, AddRouteTableIds=[table])["Return"] is True
    assert routes() == [(endpoint["VpcEndpointId"], "active")]
    assert table in endpoint["RouteTableIds"]
    event = newest(client, CONSUMER, "ModifyVpcEndpoint")
    asked = event["requestParameters"]["ModifyVpcEndpointRequest"]
    assert asked == {**where, "AddRouteTableId": {"tag": 1, "content": table}}
    assert event["responseElements"]["ModifyVpcEndpointResponse"]["return"] is True
    ec2.modify_vpc_endpoint(**where, RemoveRouteTableIds=[table])
    assert routes() == []
    # A blackhole goes with its table, and the route that comes back is active.
    dead = row(changing, "gateway-blackhole")
    (table,) = dead["RouteTableIds"]
    for verb in ("Remove", "Add"):
        ec2.modify_vpc_endpoint(
            VpcEndpointId=dead["VpcEndpointId"], **{f"{verb}RouteTableIds": [table]}
        )
    assert routes() == [(dead["VpcEndpointId"], "active")]


def test_policies_are_set_and_reset(changing: Simulator) -> None:
    """A policy is what was given, and the default once it is reset."""
    ec2 = clients_of(changing)("ec2", CONSUMER)
    name = row(changing, "policy-denies-all")["VpcEndpointId"]

    def policy() -> Any:
        (found,) = ec2.describe_vpc_endpoints(VpcEndpointIds=[name])["VpcEndpoints"]
        return json.loads(found["PolicyDocument"])

    assert policy()["Statement"][0]["Effect"] == "Deny"
    ec2.modify_vpc_endpoint(VpcEndpointId=name, ResetPolicy=True)
    assert policy() == json.loads(ALLOW_ALL)
    given = json.dumps({"Statement": [{"Effect": "Deny"}]})
    ec2.modify_vpc_endpoint(VpcEndpointId=name, PolicyDocument=given)
    assert policy() == json.loads(given)


def test_private_dns_is_switched(changing: Simulator) -> None:
    """Private DNS on, the VPC's resolver has the endpoint's addresses; off, the public ones."""
    ec2, world = clients_of(changing)("ec2", CONSUMER), changing.world
    endpoint = row(changing, "private-dns-off")
    vpc, name = endpoint["VpcId"], f"sqs.{REGION}.amazonaws.com"
    where = {"VpcEndpointId": endpoint["VpcEndpointId"]}
    regional = endpoint["DnsEntries"][0]["DnsName"]
    ec2.modify_vpc_endpoint(**where, PrivateDnsEnabled=True)
    assert world.names[vpc][name] == world.names[PUBLIC][regional]
    (found,) = ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])[
        "VpcEndpoints"
    ]
    assert (found["PrivateDnsEnabled"], found["DnsEntries"][-1]["DnsName"]) == (True, name)
    ec2.modify_vpc_endpoint(**where, PrivateDnsEnabled=False)
    assert name not in world.names[vpc]
    # A provider's name is one that the service has, as an alias.
    other = row(changing, "zone-mismatch")
    ec2.modify_vpc_endpoint(VpcEndpointId=other["VpcEndpointId"], PrivateDnsEnabled=True)
    (answer,) = world.names[other["VpcId"]]["orders.example.com"]
    assert answer == f"CNAME {other['DnsEntries'][0]['DnsName']}"


def test_subnets_and_groups_of_endpoints(changing: Simulator) -> None:
    """Subnets bring interfaces and zonal names, or take them; groups are on all interfaces."""
    client = clients_of(changing)
    ec2, world = client("ec2", CONSUMER), changing.world
    endpoint = row(changing, "zone-mismatch")
    name, (old,) = endpoint["VpcEndpointId"], endpoint["NetworkInterfaceIds"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [endpoint["VpcId"]]}])
    there = [
        s
        for s in subnets["Subnets"]
        if s["AvailabilityZoneId"] in ("euw1-az2", "euw1-az3")
        and s["Tags"][0]["Value"] == "zone-endpoints"
    ]
    add = [s["SubnetId"] for s in there]
    zonal = endpoint["DnsEntries"][1]["DnsName"]
    ec2.modify_vpc_endpoint(
        VpcEndpointId=name, AddSubnetIds=add, RemoveSubnetIds=endpoint["SubnetIds"]
    )
    (found,) = ec2.describe_vpc_endpoints(VpcEndpointIds=[name])["VpcEndpoints"]
    assert found["SubnetIds"] == add
    rows = ec2.describe_network_interfaces(NetworkInterfaceIds=found["NetworkInterfaceIds"])
    own = rows["NetworkInterfaces"]
    assert {i["SubnetId"] for i in own} == {*add}
    assert {i["Description"] for i in own} == {f"VPC Endpoint Interface {name}"}
    assert old not in {i["NetworkInterfaceId"] for i in own}
    assert zonal not in world.names[PUBLIC]
    regional = found["DnsEntries"][0]["DnsName"]
    assert {*world.names[PUBLIC][regional]} == {i["PrivateIpAddress"] for i in own}
    assert len(found["DnsEntries"]) == 1 + len(add)
    # The clock makes traffic to what is there now.
    changing.clock.make(1_700_000_000, 1_700_000_060)
    groups = world.table("SecurityGroups", CONSUMER, REGION)
    group = next(g["GroupId"] for g in groups if g["GroupName"] == "zone-clients")
    before = [g["GroupId"] for g in found["Groups"]]
    ec2.modify_vpc_endpoint(
        VpcEndpointId=name, AddSecurityGroupIds=[group], RemoveSecurityGroupIds=before
    )
    rows = ec2.describe_network_interfaces(NetworkInterfaceIds=found["NetworkInterfaceIds"])
    assert {g["GroupId"] for i in rows["NetworkInterfaces"] for g in i["Groups"]} == {group}


def test_endpoints_are_deleted(changing: Simulator) -> None:
    """With an endpoint go its interfaces, names, connection and traffic; routes to it too."""
    client = clients_of(changing)
    ec2, world = client("ec2", CONSUMER), changing.world
    rows = {
        name: row(changing, name)
        for name in ("guarded-api", "s3-gateway", "firewall", "shared-vpc")
    }
    ids = {name: one["VpcEndpointId"] for name, one in rows.items()}
    managed = row(changing, "requester-managed")["VpcEndpointId"]
    names = [entry["DnsName"] for entry in rows["guarded-api"]["DnsEntries"]]
    table = rows["s3-gateway"]["RouteTableIds"][0]
    answer = ec2.delete_vpc_endpoints(VpcEndpointIds=[*ids.values(), managed, "vpce-0"])
    assert [(u["ResourceId"], u["Error"]["Code"]) for u in answer["Unsuccessful"]] == [
        (managed, "OperationNotPermitted"),
        ("vpce-0", "InvalidVpcEndpointId.NotFound"),
    ]
    for account in (CONSUMER, PROVIDER):
        left = client("ec2", account).describe_vpc_endpoints()["VpcEndpoints"]
        assert {*ids.values()}.isdisjoint(e["VpcEndpointId"] for e in left)
    interfaces = {
        i["NetworkInterfaceId"] for i in ec2.describe_network_interfaces()["NetworkInterfaces"]
    }
    assert interfaces.isdisjoint(rows["guarded-api"]["NetworkInterfaceIds"])
    assert world.names[PUBLIC].keys().isdisjoint(names)
    connections = client("ec2", PROVIDER).describe_vpc_endpoint_connections()
    consumers = {c["VpcEndpointId"] for c in connections["VpcEndpointConnections"]}
    assert ids["guarded-api"] not in consumers
    targets = [
        (t["RouteTableId"], r["State"])
        for t in world.table("RouteTables", CONSUMER, REGION)
        for r in t["Routes"]
        if r.get("GatewayId") in ids.values()
    ]
    # The route that somebody wrote stays, and leads nowhere.
    assert [state for _, state in targets] == ["blackhole"]
    assert table not in dict(targets)
    changing.clock.make(1_700_000_000, 1_700_000_060)
    event = newest(client, CONSUMER, "DeleteVpcEndpoints")
    assert len(event["requestParameters"]["DeleteVpcEndpointsRequest"]["VpcEndpointId"]) == 6
