"""EC2 as the simulator answers it, through botocore."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from exporter.simulator.organisation import CONSUMER, OTHER_REGION, PROVIDER
from exporter.simulator.server import Simulator
from exporter.simulator.wire import api
from tests.simulator.conftest import Client

# Operation, the account that has rows, the list in the answer, its table.
LISTS = [
    ("describe_vpc_endpoints", CONSUMER, "VpcEndpoints", "VpcEndpoints"),
    ("describe_network_interfaces", CONSUMER, "NetworkInterfaces", "NetworkInterfaces"),
    ("describe_vpcs", CONSUMER, "Vpcs", "Vpcs"),
    ("describe_subnets", CONSUMER, "Subnets", "Subnets"),
    ("describe_flow_logs", CONSUMER, "FlowLogs", "FlowLogs"),
    ("describe_security_group_rules", CONSUMER, "SecurityGroupRules", "SecurityGroupRules"),
    ("describe_network_acls", CONSUMER, "NetworkAcls", "NetworkAcls"),
    ("describe_route_tables", CONSUMER, "RouteTables", "RouteTables"),
    ("describe_managed_prefix_lists", CONSUMER, "PrefixLists", "ManagedPrefixLists"),
    (
        "describe_vpc_endpoint_service_configurations",
        PROVIDER,
        "ServiceConfigurations",
        "ServiceConfigurations",
    ),
    (
        "describe_vpc_endpoint_connections",
        PROVIDER,
        "VpcEndpointConnections",
        "VpcEndpointConnections",
    ),
    (
        "describe_vpc_endpoint_associations",
        CONSUMER,
        "VpcEndpointAssociations",
        "VpcEndpointAssociations",
    ),
    ("describe_availability_zones", CONSUMER, "AvailabilityZones", "AvailabilityZones"),
]


def known(shape: Any, value: Any) -> Any:
    """Return a row without what only the simulator knows, and without what is not there."""
    if shape.type_name == "structure":
        return {
            key: known(member, value[key])
            for key, member in shape.members.items()
            if value.get(key) is not None
        }
    if shape.type_name == "list":
        return [known(shape.member, item) for item in value]
    return value


@pytest.mark.parametrize(("operation", "account", "key", "table"), LISTS)
def test_what_is_listed_is_what_there_is(
    client: Client, quiet: Simulator, operation: str, account: str, key: str, table: str
) -> None:
    """Every member of every row arrives as it is in the world: no spelling is wrong."""
    ec2 = client("ec2", account)
    name = ec2.meta.method_to_api_mapping[operation]
    more = {"IncludeManagedResources": True} if table == "NetworkInterfaces" else {}
    answer = getattr(ec2, operation)(**more)
    shape = api("ec2").model.operation_model(name).output_shape.members[key]
    rows = quiet.world.table(table, account)
    assert rows
    assert answer[key] == known(shape, rows)


@pytest.mark.parametrize(("operation", "account", "key", "table"), LISTS[:12])
def test_pages(
    client: Client, quiet: Simulator, operation: str, account: str, key: str, table: str
) -> None:
    """Small pages, followed by their tokens, are together the whole; a token of ours is opaque."""
    call = getattr(client("ec2", account), operation)
    more: dict[str, Any] = {"IncludeManagedResources": True} if table == "NetworkInterfaces" else {}
    size = 1 if table in ("ManagedPrefixLists", "VpcEndpointAssociations") else 5
    rows, token = [], None
    while True:
        page = call(MaxResults=size, **more, **({"NextToken": token} if token else {}))
        assert len(page[key]) <= size
        rows += page[key]
        token = page.get("NextToken")
        if token is None:
            break
        assert not token.isdecimal()
    assert rows == call(**more)[key]
    with pytest.raises(ClientError, match="InvalidNextToken"):
        call(MaxResults=size, NextToken="nonsense", **more)


LIMITS = [
    ("describe_network_interfaces", 1000, 5),
    ("describe_vpcs", 1000, 5),
    ("describe_subnets", 1000, 5),
    ("describe_security_groups", 1000, 5),
    ("describe_security_group_rules", 1000, 5),
    ("describe_network_acls", 1000, 5),
    ("describe_route_tables", 100, 5),
    ("describe_managed_prefix_lists", 100, 1),
    ("describe_vpc_endpoint_associations", 100, 1),
]


@pytest.mark.parametrize(("operation", "most", "least"), LIMITS)
def test_sizes_of_pages(client: Client, operation: str, most: int, least: int) -> None:
    """A page as large as AWS allows is given; a larger one is refused, and a smaller one."""
    call = getattr(client("ec2", CONSUMER), operation)
    call(MaxResults=most)
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        call(MaxResults=most + 1)
    if least > 1:
        with pytest.raises(Exception, match=r"MaxResults|InvalidParameterValue"):
            call(MaxResults=least - 1)


MISSING = [
    ("describe_vpc_endpoints", "VpcEndpointIds", "vpce-0", "InvalidVpcEndpointId.NotFound"),
    ("describe_network_interfaces", "NetworkInterfaceIds", "eni-0", "InvalidNetworkInterfaceID."),
    ("describe_vpcs", "VpcIds", "vpc-0", "InvalidVpcID.NotFound"),
    ("describe_subnets", "SubnetIds", "subnet-0", "InvalidSubnetID.NotFound"),
    ("describe_flow_logs", "FlowLogIds", "fl-0", "InvalidFlowLogId.NotFound"),
    ("describe_security_groups", "GroupIds", "sg-0", "InvalidGroup.NotFound"),
    (
        "describe_security_group_rules",
        "SecurityGroupRuleIds",
        "sgr-0",
        "InvalidSecurityGroupRuleId.NotFound",
    ),
    ("describe_network_acls", "NetworkAclIds", "acl-0", "InvalidNetworkAclID.NotFound"),
    ("describe_route_tables", "RouteTableIds", "rtb-0", "InvalidRouteTableID.NotFound"),
    ("describe_managed_prefix_lists", "PrefixListIds", "pl-0", "InvalidPrefixListID.NotFound"),
    (
        "describe_vpc_endpoint_service_configurations",
        "ServiceIds",
        "vpce-svc-0",
        "InvalidVpcEndpointServiceId.NotFound",
    ),
    ("describe_vpc_endpoint_services", "ServiceNames", "none", "InvalidServiceName"),
]


@pytest.mark.parametrize(("operation", "parameter", "name", "code"), MISSING)
def test_ids_that_do_not_exist(
    client: Client, operation: str, parameter: str, name: str, code: str
) -> None:
    """An id that does not exist is an error with AWS's code; ids go without a page size."""
    call = getattr(client("ec2", CONSUMER), operation)
    with pytest.raises(ClientError, match=re.escape(code)):
        call(**{parameter: [name]})
    if operation != "describe_vpc_endpoint_services":
        with pytest.raises(ClientError, match="InvalidParameterCombination"):
            call(**{parameter: [name]}, MaxResults=5)


FILTERS = [
    ("describe_vpc_endpoints", "vpc-endpoint-type", ["Gateway"], 4),
    ("describe_vpc_endpoints", "vpc-endpoint-state", ["pendingAcceptance", "rejected"], 2),
    ("describe_vpc_endpoints", "service-name", ["*.kms"], 8),
    ("describe_vpc_endpoints", "tag:team", ["payments"], 3),
    ("describe_vpc_endpoints", "tag:team", ["pay*", "network"], 4),
    ("describe_vpc_endpoints", "tag-key", ["team"], 4),
    ("describe_vpc_endpoints", "tag:team", ["none"], 0),
    ("describe_network_interfaces", "interface-type", ["gateway_load_balancer_endpoint"], 4),
    ("describe_security_groups", "group-name", ["sg-by-group-endpoint"], 1),
    ("describe_security_groups", "ip-permission.from-port", ["8443"], 1),
    ("describe_route_tables", "route.state", ["blackhole"], 2),
    ("describe_network_acls", "entry.rule-number", ["90"], 1),
    ("describe_flow_logs", "deliver-log-status", ["FAILED"], 1),
    ("describe_subnets", "availability-zone-id", ["euw1-az9"], 0),
]


@pytest.mark.parametrize(("operation", "name", "values", "count"), FILTERS)
def test_filters(client: Client, operation: str, name: str, values: list[str], count: int) -> None:
    """A filter keeps the rows that meet one of its values; * stands for anything."""
    call = getattr(client("ec2", CONSUMER), operation)
    parameter = "Filter" if operation == "describe_flow_logs" else "Filters"
    answer = call(**{parameter: [{"Name": name, "Values": values}]})
    rows = next(value for value in answer.values() if isinstance(value, list))
    assert len(rows) == count
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        call(**{parameter: [{"Name": "no-such-filter", "Values": values}]})


def test_filters_are_all_met(client: Client, quiet: Simulator) -> None:
    """Of several filters a row has to meet each."""
    vpc = quiet.world.row("Vpcs", "VpcId", quiet.world.host_vpc)["VpcId"]
    ec2 = client("ec2")
    narrow = [
        {"Name": "vpc-id", "Values": [vpc]},
        {"Name": "interface-type", "Values": ["vpc_endpoint"]},
    ]
    assert len(ec2.describe_network_interfaces(Filters=narrow[:1])["NetworkInterfaces"]) == 4
    assert len(ec2.describe_network_interfaces(Filters=narrow)["NetworkInterfaces"]) == 2


def test_hidden_interfaces(client: Client, quiet: Simulator) -> None:
    """Interfaces of managed resources are listed only for who asks for them."""
    ec2 = client("ec2", CONSUMER)
    hidden = quiet.world.scenarios["hidden-interfaces"].id
    own = set(
        ec2.describe_vpc_endpoints(VpcEndpointIds=[hidden])["VpcEndpoints"][0][
            "NetworkInterfaceIds"
        ]
    )
    seen = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert own.isdisjoint(i["NetworkInterfaceId"] for i in seen)
    asked = ec2.describe_network_interfaces(IncludeManagedResources=True)["NetworkInterfaces"]
    assert own <= {i["NetworkInterfaceId"] for i in asked}


def test_permissions_are_derived_from_the_rules(client: Client) -> None:
    """A group's permissions say what its rules say, in both directions."""
    ec2 = client("ec2", CONSUMER)
    rules = ec2.describe_security_group_rules()["SecurityGroupRules"]
    for group in ec2.describe_security_groups()["SecurityGroups"]:
        own = [r for r in rules if r["GroupId"] == group["GroupId"]]
        for egress, key in ((False, "IpPermissions"), (True, "IpPermissionsEgress")):
            peers = [
                (
                    p["IpProtocol"],
                    p.get("FromPort", -1),
                    peer.get("GroupId") or next(iter(peer.values())),
                )
                for p in group[key]
                for kind in ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
                for peer in p[kind]
            ]
            expected = [
                (
                    r["IpProtocol"],
                    r["FromPort"],
                    r.get("CidrIpv4")
                    or r.get("CidrIpv6")
                    or r.get("PrefixListId")
                    or r["ReferencedGroupInfo"]["GroupId"],
                )
                for r in own
                if r["IsEgress"] == egress
            ]
            assert sorted(peers) == sorted(expected)


def test_one_attribute_a_call(client: Client, quiet: Simulator) -> None:
    """DescribeVpcAttribute answers the attribute that was asked for, and no other."""
    ec2 = client("ec2", CONSUMER)
    endpoint = quiet.world.scenarios["dns-hostnames-off"].id
    vpc = quiet.world.row("VpcEndpoints", "VpcEndpointId", endpoint)["VpcId"]
    answer = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    assert answer["EnableDnsHostnames"] == {"Value": False}
    assert "EnableDnsSupport" not in answer
    with pytest.raises(ClientError, match=r"InvalidVpcID\.NotFound"):
        ec2.describe_vpc_attribute(VpcId="vpc-0", Attribute="enableDnsSupport")


def test_prefix_lists(client: Client) -> None:
    """AWS's own lists are in both operations, the account's in one; entries come in pages."""
    ec2 = client("ec2", CONSUMER)
    (own,) = ec2.describe_prefix_lists()["PrefixLists"]
    assert own["PrefixListName"] == "com.amazonaws.eu-west-1.s3"
    managed = {p["PrefixListName"]: p for p in ec2.describe_managed_prefix_lists()["PrefixLists"]}
    assert set(managed) == {"com.amazonaws.eu-west-1.s3", "office"}
    assert managed["com.amazonaws.eu-west-1.s3"]["OwnerId"] == "AWS"
    pages = ec2.get_paginator("get_managed_prefix_list_entries").paginate(
        PrefixListId=own["PrefixListId"], PaginationConfig={"PageSize": 1}
    )
    entries = [page["Entries"] for page in pages]
    assert [len(page) for page in entries] == [1, 1]
    assert [e["Cidr"] for page in entries for e in page] == own["Cidrs"]


def test_services_on_offer(client: Client, quiet: Simulator) -> None:
    """A consumer sees AWS's services and those that admit it, zones by its own names."""
    orders = quiet.world.row(
        "ServiceConfigurations", "ServiceId", quiet.world.scenarios["orders"].id
    )
    seen = {}
    for account in (CONSUMER, PROVIDER, quiet.world.management):
        answer = client("ec2", account).describe_vpc_endpoint_services()
        assert answer["ServiceNames"] == [d["ServiceName"] for d in answer["ServiceDetails"]]
        seen[account] = {d["ServiceName"]: d for d in answer["ServiceDetails"]}
        assert "com.amazonaws.eu-west-1.sqs" in seen[account]
    name = orders["ServiceName"]
    assert name not in seen[quiet.world.management]
    ours, theirs = seen[CONSUMER][name], seen[PROVIDER][name]
    assert ours["AvailabilityZoneIds"] == theirs["AvailabilityZoneIds"] == ["euw1-az2", "euw1-az3"]
    assert ours["AvailabilityZones"] == ["eu-west-1a", "eu-west-1b"]
    assert theirs["AvailabilityZones"] == ["eu-west-1b", "eu-west-1c"]
    far = client("ec2", CONSUMER, OTHER_REGION)
    assert name not in far.describe_vpc_endpoint_services()["ServiceNames"]
    across = far.describe_vpc_endpoint_services(ServiceRegions=["eu-west-1"])
    assert name in across["ServiceNames"]


def test_permissions_of_a_service(client: Client, quiet: Simulator) -> None:
    """Who may connect is told per service."""
    ec2 = client("ec2", PROVIDER)
    service = quiet.world.scenarios["orders"].id
    answer = ec2.describe_vpc_endpoint_service_permissions(ServiceId=service)
    (allowed,) = answer["AllowedPrincipals"]
    assert (allowed["PrincipalType"], allowed["Principal"]) == (
        "Account",
        f"arn:aws:iam::{CONSUMER}:root",
    )
    with pytest.raises(ClientError, match="InvalidVpcEndpointServiceId"):
        ec2.describe_vpc_endpoint_service_permissions(ServiceId="vpce-svc-0")


def test_regions(client: Client) -> None:
    """Regions that are not opted in to are listed only for who asks for all."""
    ec2 = client("ec2")
    names = {r["RegionName"] for r in ec2.describe_regions()["Regions"]}
    assert names == {"eu-west-1", "us-east-1"}
    every = {
        r["RegionName"]: r["OptInStatus"] for r in ec2.describe_regions(AllRegions=True)["Regions"]
    }
    assert every["eu-south-1"] == "not-opted-in"


def test_zones_have_other_ids_in_each_account(client: Client) -> None:
    """The same zone name is another zone in another account."""
    ids = [
        [
            (z["ZoneName"], z["ZoneId"])
            for z in client("ec2", account).describe_availability_zones()["AvailabilityZones"]
        ]
        for account in (CONSUMER, PROVIDER)
    ]
    assert [name for name, _ in ids[0]] == [name for name, _ in ids[1]]
    assert all(ours != theirs for ours, theirs in zip(*ids, strict=True))


def test_what_is_not_simulated(client: Client) -> None:
    """An operation that nobody simulates is an error, and a dry run tells that it is one."""
    ec2 = client("ec2")
    with pytest.raises(ClientError, match="InvalidAction"):
        ec2.describe_instances()
    with pytest.raises(ClientError, match="DryRunOperation"):
        ec2.describe_vpcs(DryRun=True)
