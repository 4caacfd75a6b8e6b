"""What AWS would refuse is refused with its code, changes nothing, and CloudTrail has it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from exporter.simulator import network
from exporter.simulator.changes import EC2, change
from exporter.simulator.organisation import CONSUMER, PROVIDER, organisation
from exporter.simulator.scenarios_healthy import S3_PREFIX_LIST
from exporter.simulator.state import REGION, Row, Where, World
from exporter.simulator.wire import AwsError

Request = Callable[["Estate"], Row]
EVERY = {"CidrIp": "0.0.0.0/0"}
FORWARD = "forward"


class Estate:
    """The organisation, and the rows that requests are about."""

    def __init__(self) -> None:
        self.world: World = organisation()
        self.tables = copy.deepcopy(self.kept())
        self.names = copy.deepcopy(self.world.names)

    def kept(self) -> dict[Any, Any]:
        return {
            where: {name: rows for name, rows in tables.items() if name != "Events"}
            for where, tables in self.world.tables.items()
        }

    def id(self, name: str) -> str:
        return self.world.scenarios[name].id

    def row(self, name: str) -> Row:
        return self.world.row("VpcEndpoints", "VpcEndpointId", self.id(name))

    def group(self, name: str) -> str:
        return str(self.world.row("SecurityGroups", "GroupName", name)["GroupId"])

    def acl(self, name: str) -> str:
        return str(network.acl_of(self.world, self.row(name)["SubnetIds"][0])["NetworkAclId"])

    def table(self, name: str) -> str:
        """The route table of an endpoint's clients; of one without, the one that leads to it."""
        flow = next((f for f in self.world.traffic if f.endpoint_id == self.id(name)), None)
        if flow is None:
            tables = self.world.table("RouteTables", CONSUMER, REGION)
            return next(
                str(t["RouteTableId"])
                for t in tables
                for r in t["Routes"]
                if r.get("GatewayId") == self.id(name)
            )
        row = self.world.row("NetworkInterfaces", "NetworkInterfaceId", flow.client_interface_id)
        return str(network.route_table_of(self.world, row["SubnetId"])["RouteTableId"])

    def balancer(self, name: str) -> Row:
        return self.world.row("LoadBalancers", "LoadBalancerName", name)

    def targets(self, name: str) -> str:
        return str(self.world.row("TargetGroups", "TargetGroupName", name)["TargetGroupArn"])

    def subnet(self, name: str, zone: str) -> str:
        """The subnet for endpoints of an endpoint's VPC, in a zone."""
        return next(
            str(s["SubnetId"])
            for s in self.world.table("Subnets", CONSUMER, REGION)
            if s["VpcId"] == self.row(name)["VpcId"]
            and s["AvailabilityZoneId"] == zone
            and s["Tags"][0]["Value"].endswith("-endpoints")
        )


@pytest.fixture(scope="module")
def estate() -> Estate:
    return Estate()


def rule(group: str, **permission: Any) -> Request:
    tcp = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    return lambda e: {"GroupId": e.group(group), "IpPermissions": [{**tcp, **permission}]}


def entry(**members: Any) -> Request:
    def request(e: Estate) -> Row:
        whole: Row = {
            "NetworkAclId": e.acl("nacl-inbound"),
            "RuleNumber": 80,
            "Egress": False,
            "Protocol": "6",
            "PortRange": {"From": 443, "To": 443},
            "CidrBlock": "10.0.0.0/8",
            "RuleAction": "allow",
            **members,
        }
        return {key: value for key, value in whole.items() if value is not None}

    return request


def way(table: str = "gwlb-blackhole", **members: Any) -> Request:
    return lambda e: {
        "RouteTableId": e.table(table) if table else "rtb-0",
        "DestinationCidrBlock": "192.0.2.0/24",
        **{k: v(e) if callable(v) else v for k, v in members.items()},
    }


def endpoint(name: str, **members: Any) -> Request:
    return lambda e: {
        "VpcEndpointId": e.id(name),
        **{k: v(e) if callable(v) else v for k, v in members.items()},
    }


def logs(**members: Any) -> Request:
    whole = {
        "ResourceType": "VPC",
        "ResourceIds": [],
        "TrafficType": "ALL",
        "LogGroupName": "/vpc/new",
        "DeliverLogsPermissionArn": f"arn:aws:iam::{CONSUMER}:role/flow-logs",
        **members,
    }
    return lambda e: {key: value for key, value in whole.items() if value is not None}


def listener(balancer: str, group: str, **members: Any) -> Request:
    return lambda e: {
        "LoadBalancerArn": e.balancer(balancer)["LoadBalancerArn"],
        "Protocol": "TCP",
        "Port": 9443,
        "DefaultActions": [{"Type": FORWARD, "TargetGroupArn": e.targets(group)}],
        **members,
    }


def gateway(e: Estate) -> str:
    return e.id("gwlb-blackhole")


REFUSED: list[tuple[str, str, Request]] = [
    # Security groups.
    ("AuthorizeSecurityGroupEgress", "InvalidPermission.Duplicate", lambda e: {
        "GroupId": e.group("shop-clients"),
        "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [EVERY]}],
    }),
    ("AuthorizeSecurityGroupIngress", "MissingParameter", lambda e: {
        "GroupId": e.group("shop-clients"),
    }),
    ("AuthorizeSecurityGroupIngress", "InvalidParameterValue", rule(
        "shop-clients", IpRanges=[{"CidrIp": "10.0.0.1"}]
    )),
    ("AuthorizeSecurityGroupIngress", "InvalidParameterValue", rule(
        "shop-clients", FromPort=444, IpRanges=[EVERY]
    )),
    ("AuthorizeSecurityGroupIngress", "InvalidParameterValue", rule(
        "shop-clients", ToPort=65536, IpRanges=[EVERY]
    )),
    ("AuthorizeSecurityGroupIngress", "InvalidPrefixListID.NotFound", rule(
        "shop-clients", PrefixListIds=[{"PrefixListId": "pl-0"}]
    )),
    ("AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound", lambda e: rule(
        "shop-clients", UserIdGroupPairs=[{"GroupId": e.group("closed-clients")}]
    )(e)),
    ("AuthorizeSecurityGroupIngress", "RulesPerSecurityGroupLimitExceeded", rule(
        "shop-clients", IpRanges=[{"CidrIp": f"192.0.2.{i}/32"} for i in range(61)]
    )),
    ("RevokeSecurityGroupEgress", "InvalidPermission.NotFound", rule(
        "shop-clients", IpRanges=[EVERY]
    )),
    # Network ACLs.
    ("CreateNetworkAclEntry", "NetworkAclEntryAlreadyExists", entry(RuleNumber=90)),
    ("CreateNetworkAclEntry", "InvalidNetworkAclID.NotFound", entry(NetworkAclId="acl-0")),
    ("CreateNetworkAclEntry", "InvalidParameterValue", entry(RuleNumber=32767)),
    ("CreateNetworkAclEntry", "InvalidParameterValue", entry(CidrBlock="10.0.0.0")),
    ("CreateNetworkAclEntry", "InvalidParameterValue", entry(RuleAction="pass")),
    ("CreateNetworkAclEntry", "InvalidParameterValue", entry(Protocol="tcp")),
    ("CreateNetworkAclEntry", "InvalidParameterValue", entry(PortRange={"From": 2, "To": 1})),
    ("CreateNetworkAclEntry", "MissingParameter", entry(PortRange=None)),
    ("CreateNetworkAclEntry", "MissingParameter", entry(Protocol="1")),
    ("CreateNetworkAclEntry", "MissingParameter", entry(CidrBlock=None)),
    ("CreateNetworkAclEntry", "InvalidParameterCombination", entry(Ipv6CidrBlock="::/0")),
    ("ReplaceNetworkAclEntry", "InvalidNetworkAclEntry.NotFound", entry()),
    ("DeleteNetworkAclEntry", "InvalidNetworkAclEntry.NotFound", entry()),
    # Routes.
    ("CreateRoute", "InvalidRouteTableID.NotFound", way("", VpcEndpointId=gateway)),
    ("CreateRoute", "RouteAlreadyExists", way(
        DestinationCidrBlock="0.0.0.0/0", VpcEndpointId=gateway
    )),
    ("CreateRoute", "MissingParameter", way()),
    ("CreateRoute", "InvalidParameterCombination", way(
        DestinationIpv6CidrBlock="::/0", VpcEndpointId=gateway
    )),
    ("CreateRoute", "InvalidVpcEndpointId.NotFound", way(VpcEndpointId="vpce-0")),
    ("CreateRoute", "InvalidParameterValue", way(VpcEndpointId=lambda e: e.id("secrets"))),
    ("CreateRoute", "InvalidParameterValue", way(VpcEndpointId=lambda e: e.id("firewall"))),
    ("CreateRoute", "InvalidNatGatewayID.NotFound", way(NatGatewayId="nat-0")),
    ("CreateRoute", "InvalidNetworkInterfaceID.NotFound", way(NetworkInterfaceId="eni-0")),
    ("CreateRoute", "InvalidPrefixListID.NotFound", lambda e: {
        "RouteTableId": e.table("s3-gateway"), "DestinationPrefixListId": "pl-0",
        "GatewayId": "igw-0",
    }),
    ("ReplaceRoute", "InvalidRoute.NotFound", way(VpcEndpointId=gateway)),
    ("DeleteRoute", "InvalidParameterValue", lambda e: {
        "RouteTableId": e.table("secrets"),
        "DestinationCidrBlock": e.world.row("Vpcs", "VpcId", e.row("secrets")["VpcId"])[
            "CidrBlock"
        ],
    }),
    ("DeleteRoute", "InvalidParameterValue", lambda e: {
        "RouteTableId": e.table("s3-gateway"), "DestinationPrefixListId": S3_PREFIX_LIST,
    }),
    # VPCs.
    ("ModifyVpcAttribute", "InvalidVpcID.NotFound", lambda e: {
        "VpcId": "vpc-0", "EnableDnsSupport": {"Value": True},
    }),
    ("ModifyVpcAttribute", "InvalidParameterCombination", lambda e: {
        "VpcId": e.row("secrets")["VpcId"],
        "EnableDnsSupport": {"Value": True}, "EnableDnsHostnames": {"Value": True},
    }),
    ("ModifyVpcAttribute", "MissingParameter", lambda e: {"VpcId": e.row("secrets")["VpcId"]}),
    # Endpoints.
    ("ModifyVpcEndpoint", "InvalidVpcEndpointId.NotFound", lambda e: {"VpcEndpointId": "vpce-0"}),
    ("ModifyVpcEndpoint", "OperationNotPermitted", endpoint(
        "requester-managed", PrivateDnsEnabled=False
    )),
    ("ModifyVpcEndpoint", "IncorrectState", endpoint("failed", PrivateDnsEnabled=True)),
    ("ModifyVpcEndpoint", "InvalidParameter", endpoint("secrets", AddRouteTableIds=["rtb-0"])),
    ("ModifyVpcEndpoint", "InvalidParameter", endpoint("s3-gateway", PrivateDnsEnabled=True)),
    ("ModifyVpcEndpoint", "InvalidRouteTableId.NotFound", endpoint(
        "s3-gateway", AddRouteTableIds=["rtb-0"]
    )),
    ("ModifyVpcEndpoint", "RouteAlreadyExists", endpoint(
        "s3-gateway", AddRouteTableIds=lambda e: [e.table("s3-gateway")]
    )),
    ("ModifyVpcEndpoint", "InvalidParameter", endpoint(
        "s3-gateway", AddRouteTableIds=lambda e: [e.table("secrets")]
    )),
    ("ModifyVpcEndpoint", "InvalidParameter", endpoint(
        "gateway-no-route", RemoveRouteTableIds=lambda e: [e.table("gateway-no-route")]
    )),
    ("ModifyVpcEndpoint", "InvalidPolicyDocument", endpoint("secrets", PolicyDocument="{")),
    ("ModifyVpcEndpoint", "InvalidParameterCombination", endpoint(
        "secrets", PolicyDocument="{}", ResetPolicy=True
    )),
    ("ModifyVpcEndpoint", "InvalidParameter", endpoint("orders-api", ResetPolicy=True)),
    ("ModifyVpcEndpoint", "InvalidParameter", endpoint(
        "dns-hostnames-off", PrivateDnsEnabled=True
    )),
    ("ModifyVpcEndpoint", "InvalidParameter", endpoint("guarded-api", PrivateDnsEnabled=True)),
    ("ModifyVpcEndpoint", "DuplicateSubnetsInSameZone", endpoint(
        "zone-mismatch", AddSubnetIds=lambda e: [e.subnet("zone-mismatch", "euw1-az1")]
    )),
    ("ModifyVpcEndpoint", "InvalidParameter", endpoint(
        "to-nlb-closed", AddSubnetIds=lambda e: [e.subnet("to-nlb-closed", "euw1-az1")]
    )),
    ("ModifyVpcEndpoint", "InvalidSubnetId.NotFound", endpoint(
        "secrets", AddSubnetIds=["subnet-0"]
    )),
    ("ModifyVpcEndpoint", "InvalidGroup.NotFound", endpoint(
        "secrets", AddSecurityGroupIds=lambda e: [e.group("closed-clients")]
    )),
    ("ModifyVpcEndpoint", "InvalidParameter", endpoint(
        "secrets",
        RemoveSecurityGroupIds=lambda e: [g["GroupId"] for g in e.row("secrets")["Groups"]],
    )),
    # Flow logs.
    ("CreateFlowLogs", "InvalidParameter", logs(TrafficType="SOME")),
    ("CreateFlowLogs", "InvalidParameter", logs(MaxAggregationInterval=90)),
    ("CreateFlowLogs", "InvalidParameter", logs(LogFormat="srcaddr")),
    ("CreateFlowLogs", "InvalidParameter", logs(DeliverLogsPermissionArn="flow-logs")),
    ("CreateFlowLogs", "MissingParameter", logs(LogGroupName=None)),
    ("CreateFlowLogs", "InvalidParameter", logs(
        LogDestinationType="s3", LogDestination="arn:aws:s3:::nowhere"
    )),
    # Providers.
    ("StartVpcEndpointServicePrivateDnsVerification", "InvalidVpcEndpointServiceId.NotFound",
     lambda e: {"ServiceId": "vpce-svc-0"}),
    ("StartVpcEndpointServicePrivateDnsVerification", "InvalidParameter",
     lambda e: {"ServiceId": e.id("guarded")}),
    ("ModifyVpcEndpointServiceConfiguration", "InvalidParameter", lambda e: {
        "ServiceId": e.id("guarded"), "AddNetworkLoadBalancerArns": ["arn:aws:x"],
    }),
    ("ModifyVpcEndpointServiceConfiguration", "InvalidParameter", lambda e: {
        "ServiceId": e.id("guarded"),
        "RemoveNetworkLoadBalancerArns": [e.balancer("guarded")["LoadBalancerArn"]],
    }),
    ("CreateListener", "LoadBalancerNotFound", listener(
        "guarded", "guarded", LoadBalancerArn="arn:aws:x"
    )),
    ("CreateListener", "DuplicateListener", listener("guarded", "guarded", Port=443)),
    ("CreateListener", "UnsupportedProtocol", listener("guarded", "guarded", Protocol="HTTP")),
    ("CreateListener", "ValidationError", listener("guarded", "guarded", Port=0)),
    ("CreateListener", "ValidationError", listener("guarded", "guarded", Protocol="TLS")),
    ("CreateListener", "ValidationError", listener("guarded", "guarded", Protocol=None)),
    ("CreateListener", "IncompatibleProtocols", listener("guarded", "guarded", Protocol="UDP")),
    ("CreateListener", "TargetGroupAssociationLimit", listener("guarded", "orders")),
    ("CreateListener", "TargetGroupNotFound", listener(
        "guarded", "guarded", DefaultActions=[{"Type": FORWARD, "TargetGroupArn": "arn:aws:x"}]
    )),
    ("CreateListener", "InvalidLoadBalancerAction", listener(
        "guarded", "guarded", DefaultActions=[{"Type": "redirect"}]
    )),
    ("DeleteListener", "ListenerNotFound", lambda e: {"ListenerArn": "arn:aws:x"}),
    ("ModifyLoadBalancerAttributes", "InvalidConfigurationRequest", lambda e: {
        "LoadBalancerArn": e.balancer("guarded")["LoadBalancerArn"],
        "Attributes": [{"Key": "x", "Value": "true"}],
    }),
    ("ModifyTargetGroupAttributes", "InvalidConfigurationRequest", lambda e: {
        "TargetGroupArn": e.targets("guarded"),
        "Attributes": [{"Key": "preserve_client_ip.enabled", "Value": "yes"}],
    }),
    ("SetSecurityGroups", "InvalidConfigurationRequest", lambda e: {
        "LoadBalancerArn": e.balancer("guarded")["LoadBalancerArn"],
        "SecurityGroups": [e.group("guarded-targets")],
    }),
    ("SetSecurityGroups", "InvalidSecurityGroup", lambda e: {
        "LoadBalancerArn": e.balancer("nlb-closed")["LoadBalancerArn"], "SecurityGroups": ["sg-0"],
    }),
    ("SetSecurityGroups", "ValidationError", lambda e: {
        "LoadBalancerArn": e.balancer("nlb-closed")["LoadBalancerArn"], "SecurityGroups": [],
    }),
    ("RegisterTargets", "InvalidTarget", lambda e: {
        "TargetGroupArn": e.targets("guarded"), "Targets": [{"Id": "192.0.2.1"}],
    }),
    ("DeregisterTargets", "InvalidTarget", lambda e: {
        "TargetGroupArn": e.targets("guarded"), "Targets": [{"Id": "192.0.2.1"}],
    }),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "code", "request_"),
    REFUSED,
    ids=[f"{n}-{c}-{i}" for i, (n, c, _) in enumerate(REFUSED)],
)
def test_what_aws_would_refuse(estate: Estate, name: str, code: str, request_: Request) -> None:
    """It is refused with AWS's code, nothing has changed, and CloudTrail tells of the attempt."""
    provider = any(word in name for word in ("Service", "Listener", "Attributes", "Target", "Set"))
    where = Where(PROVIDER if provider else CONSUMER, REGION)
    request = {key: value for key, value in request_(estate).items() if value is not None}
    with pytest.raises(AwsError) as refused:
        change(estate.world, where, name, request)
    assert refused.value.code == code, refused.value.message
    assert estate.kept() == estate.tables
    assert estate.world.names == estate.names
    event = json.loads(estate.world.table("Events", *where)[-1]["CloudTrailEvent"])
    assert (event["eventName"], event["responseElements"]) == (name, None)
    assert event["errorCode"] == (f"Client.{code}" if name in EC2 else code)


def test_who_does_not_own_a_vpc_changes_nothing_there(estate: Estate) -> None:
    """A participant in a shared VPC sees its endpoint; owner is another."""
    there = Where(PROVIDER, REGION)
    shared = estate.row("shared-vpc")
    with pytest.raises(AwsError, match="not authorized"):
        change(
            estate.world,
            there,
            "ModifyVpcAttribute",
            {"VpcId": shared["VpcId"], "EnableDnsSupport": {"Value": False}},
        )
    with pytest.raises(AwsError, match="not allowed"):
        change(estate.world, there, "ModifyVpcEndpoint", {"VpcEndpointId": shared["VpcEndpointId"]})
    assert estate.kept() == estate.tables
