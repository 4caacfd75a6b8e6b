"""Rules, entries, routes, attributes and flow logs are changed, and packets fare accordingly."""

from __future__ import annotations

from typing import Any

from exporter.simulator import network
from exporter.simulator.organisation import CONSUMER
from exporter.simulator.server import Simulator
from exporter.simulator.state import REGION, Row, Where
from tests.simulator.conftest import clients_of, newest

HERE = Where(CONSUMER, REGION)


def connects(simulator: Simulator, name: str) -> bool:
    """Whether the first client of a scenario can open a connection to its endpoint at 443."""
    world = simulator.world
    endpoint = world.row("VpcEndpoints", "VpcEndpointId", world.scenarios[name].id)
    flow = next(f for f in world.traffic if f.endpoint_id == endpoint["VpcEndpointId"])
    rows = [
        world.row("NetworkInterfaces", "NetworkInterfaceId", i)
        for i in (flow.client_interface_id, endpoint["NetworkInterfaceIds"][0])
    ]
    return network.passage(world, rows[0], rows[1], 443).connects


def test_rules_let_packets_out(changing: Simulator) -> None:
    """What a group does not let out, it does once it is authorized, until it is revoked."""
    client = clients_of(changing)
    ec2 = client("ec2", CONSUMER)
    groups = changing.world.table("SecurityGroups", *HERE)
    group = next(g["GroupId"] for g in groups if g["GroupName"] == "egress-clients")
    https: Row = {"IpProtocol": "6", "FromPort": 443, "ToPort": 443}
    https["IpRanges"] = [{"CidrIp": "10.1.2.3/8"}]
    assert not connects(changing, "client-egress-closed")
    added = ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[https])
    (rule,) = added["SecurityGroupRules"]
    assert (rule["IsEgress"], rule["IpProtocol"], rule["CidrIpv4"]) == (True, "tcp", "10.0.0.0/8")
    assert connects(changing, "client-egress-closed")
    event = newest(client, CONSUMER, "AuthorizeSecurityGroupEgress")
    assert event["requestParameters"]["groupId"] == group
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[https])
    assert not connects(changing, "client-egress-closed")


def test_entries_let_packets_pass(changing: Simulator) -> None:
    """Of entries the lowest decides: one before the denial, one replaced, one deleted."""
    client = clients_of(changing)
    ec2, world = client("ec2", CONSUMER), changing.world

    def acl(name: str) -> str:
        endpoint = world.row("VpcEndpoints", "VpcEndpointId", world.scenarios[name].id)
        found: str = network.acl_of(world, endpoint["SubnetIds"][0])["NetworkAclId"]
        return found

    entry: dict[str, Any] = {
        "NetworkAclId": acl("nacl-inbound"),
        "Egress": False,
        "RuleNumber": 89,
        "Protocol": "6",
        "PortRange": {"From": 443, "To": 443},
        "CidrBlock": "10.0.0.0/8",
        "RuleAction": "allow",
    }
    assert not connects(changing, "nacl-inbound")
    ec2.create_network_acl_entry(**entry)
    assert connects(changing, "nacl-inbound")
    event = newest(client, CONSUMER, "CreateNetworkAclEntry")["requestParameters"]
    assert event["portRange"] == {"from": 443, "to": 443}
    assert (event["aclProtocol"], event["icmpTypeCode"], event["egress"]) == ("6", {}, False)
    ec2.replace_network_acl_entry(**{**entry, "RuleAction": "deny"})
    assert not connects(changing, "nacl-inbound")
    for number in (89, 90):
        ec2.delete_network_acl_entry(
            NetworkAclId=entry["NetworkAclId"], RuleNumber=number, Egress=False
        )
    assert connects(changing, "nacl-inbound")
    back = {"NetworkAclId": acl("nacl-return"), "Egress": True, "RuleNumber": 200}
    ec2.create_network_acl_entry(**{**entry, **back, "PortRange": {"From": 1024, "To": 65535}})
    assert connects(changing, "nacl-return")


def test_routes_come_and_go(changing: Simulator) -> None:
    """A blackhole is replaced by a route that is active; another is added and deleted."""
    client = clients_of(changing)
    ec2, world = client("ec2", CONSUMER), changing.world
    endpoint = world.scenarios["gwlb-blackhole"].id
    tables = world.table("RouteTables", *HERE)
    table = next(t for t in tables for r in t["Routes"] if r.get("GatewayId") == endpoint)
    name = table["RouteTableId"]

    def routes() -> dict[str, str]:
        (found,) = ec2.describe_route_tables(RouteTableIds=[name])["RouteTables"]
        return {r["DestinationCidrBlock"]: r["State"] for r in found["Routes"]}

    assert routes()["0.0.0.0/0"] == "blackhole"
    where = {"RouteTableId": name, "DestinationCidrBlock": "0.0.0.0/0"}
    ec2.replace_route(**where, VpcEndpointId=endpoint)
    assert routes()["0.0.0.0/0"] == "active"
    assert newest(client, CONSUMER, "ReplaceRoute")["requestParameters"] == {
        "routeTableId": name,
        "destinationCidrBlock": "0.0.0.0/0",
        "vpcEndpointId": endpoint,
    }
    other = {"RouteTableId": name, "DestinationCidrBlock": "192.0.2.7/24"}
    assert ec2.create_route(**other, VpcEndpointId=endpoint)["Return"] is True
    assert routes()["192.0.2.0/24"] == "active"
    ec2.delete_route(**other)
    assert "192.0.2.0/24" not in routes()


def test_attributes_let_private_names_work(changing: Simulator) -> None:
    """With DNS hostnames on, the VPC's resolver has the endpoint's addresses for the name."""
    client = clients_of(changing)
    ec2, world = client("ec2", CONSUMER), changing.world
    endpoint = world.row("VpcEndpoints", "VpcEndpointId", world.scenarios["dns-hostnames-off"].id)
    vpc, name = endpoint["VpcId"], f"sqs.{REGION}.amazonaws.com"
    assert name not in world.names.get(vpc, {})
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    attribute = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    assert attribute["EnableDnsHostnames"] == {"Value": True}
    own = [
        world.row("NetworkInterfaces", "NetworkInterfaceId", i)["PrivateIpAddress"]
        for i in endpoint["NetworkInterfaceIds"]
    ]
    assert world.names[vpc][name] == own
    event = newest(client, CONSUMER, "ModifyVpcAttribute")["requestParameters"]
    assert event == {"vpcId": vpc, "enableDnsHostnames": {"value": True}}
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": False})
    assert name not in world.names[vpc]


def test_flow_logs_come_and_go(changing: Simulator) -> None:
    """A flow log is made for each interface with its log group, and tells of the traffic."""
    client = clients_of(changing)
    ec2, world = client("ec2", CONSUMER), changing.world
    endpoint = world.row("VpcEndpoints", "VpcEndpointId", world.scenarios["no-flow-log"].id)
    ids = endpoint["NetworkInterfaceIds"]
    request: dict[str, Any] = {
        "ResourceType": "NetworkInterface",
        "ResourceIds": [*ids, "eni-0"],
        "TrafficType": "ALL",
        "LogGroupName": "flow-logs/new",
        "DeliverLogsPermissionArn": f"arn:aws:iam::{CONSUMER}:role/flow-logs",
        "MaxAggregationInterval": 60,
    }
    made = ec2.create_flow_logs(**request)
    assert len(made["FlowLogIds"]) == len(ids)
    (refused,) = made["Unsuccessful"]
    assert refused["ResourceId"] == "eni-0"
    assert refused["Error"]["Code"] == "InvalidNetworkInterfaceID.NotFound"
    again = ec2.create_flow_logs(**request)["Unsuccessful"]
    assert {u["Error"]["Code"] for u in again} >= {"FlowLogAlreadyExists"}
    event = newest(client, CONSUMER, "CreateFlowLogs")
    asked = event["requestParameters"]["CreateFlowLogsRequest"]
    assert [row["content"] for row in asked["ResourceId"]] == request["ResourceIds"]
    changing.clock.make(1_700_000_000, 1_700_000_060)
    pending = changing.clock.deliveries.pending
    logged = {d.flow_log["ResourceId"] for d in pending if d.group == "flow-logs/new"}
    assert logged == {*ids}
    groups = client("logs", CONSUMER).describe_log_groups(logGroupNamePrefix="flow-logs/")
    assert [g["logGroupName"] for g in groups["logGroups"]] == ["flow-logs/new"]
    gone = ec2.delete_flow_logs(FlowLogIds=[made["FlowLogIds"][0], "fl-0"])["Unsuccessful"]
    assert [u["ResourceId"] for u in gone] == ["fl-0"]
    left = [f["FlowLogId"] for f in ec2.describe_flow_logs()["FlowLogs"]]
    assert made["FlowLogIds"][0] not in left
    assert made["FlowLogIds"][1] in left
    bucket = {**request, "LogDestinationType": "s3", "ResourceIds": ids[:1]}
    del bucket["LogGroupName"], bucket["DeliverLogsPermissionArn"]
    bucket["LogDestination"] = "arn:aws:s3:::flow-logs-six"
    assert ec2.create_flow_logs(**bucket)["Unsuccessful"] == []
