"""A large organisation, seeded straight into the tables: for measuring, nothing in it is wrong.

Rows share what is the same in all of them: who changes one in place changes its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from exporter.flowlogs.formats import DEFAULT
from exporter.simulator import organizations
from exporter.simulator.builder import ALLOW_ALL
from exporter.simulator.interfaces import CREATED
from exporter.simulator.organisation import ROLE, region
from exporter.simulator.state import PUBLIC, Row, Tables, Where, World

REGIONS = ("eu-west-1", "us-east-1", "eu-central-1", "us-west-2", "ap-southeast-2")
_SHORT = {
    "eu-west-1": "euw1",
    "us-east-1": "use1",
    "eu-central-1": "euc1",
    "us-west-2": "usw2",
    "ap-southeast-2": "apse2",
}
PER_VPC = 50
ZONES = 3
# One endpoint in so many uses its VPC's common group.
_SHARED = 5
_NONE: list[Row] = []
_DNS_OPTIONS = {"DnsRecordIpType": "ipv4"}
_HOSTED_ZONE = "Z38GZ743OKFT7T"


def estate(
    accounts: int = 50, regions: int = 3, endpoints_per_scope: int = 250, seed: int = 1
) -> World:
    """Return an organisation of so many accounts, each with so many endpoints in each Region.

    Each endpoint has an interface in three zones, each VPC holds 50 endpoints, and one endpoint in
    five shares a group with others. The first account is the management account.
    """
    names = account_ids(accounts)
    world = World(
        keys={"AKIAIOSFODNN7EXAMPLE": names[0]},
        roles={f"arn:aws:iam::{name}:role/{ROLE}" for name in names[1:]},
        accounts=[
            organizations.account(name, f"account-{i}", names[0]) for i, name in enumerate(names)
        ],
        management=names[0],
        regions=[region(name, "opt-in-not-required") for name in REGIONS[:regions]],
    )
    numbers = count(seed << 40)
    for name in names:
        for where in REGIONS[:regions]:
            _scope(world, Where(name, where), endpoints_per_scope, numbers)
    world.host_vpc = world.tables[names[0], REGIONS[0]]["Vpcs"][0]["VpcId"]
    return world


def account_ids(wanted: int) -> list[str]:
    """Return account ids in the manner of AWS's documentation, 111122223333 first."""
    digits = "123456789"
    found = [
        a * 4 + b * 4 + c * 4 for a in digits for b in digits for c in digits if a != b != c != a
    ]
    return found[:wanted]


def _scope(world: World, where: Where, endpoints: int, numbers: Iterator[int]) -> None:
    tables: Tables = world.tables.setdefault(where, {})
    for name in (
        "AvailabilityZones",
        "Vpcs",
        "Subnets",
        "NetworkAcls",
        "RouteTables",
        "SecurityGroups",
        "SecurityGroupRules",
        "FlowLogs",
        "VpcEndpoints",
        "NetworkInterfaces",
    ):
        tables[name] = []
    for i in range(ZONES):
        tables["AvailabilityZones"].append(
            {
                "State": "available",
                "RegionName": where.region,
                "ZoneName": f"{where.region}{'abc'[i]}",
                "ZoneId": f"{_SHORT[where.region]}-az{i + 1}",
                "ZoneType": "availability-zone",
                "OptInStatus": "opt-in-not-required",
            }
        )
    for first in range(0, endpoints, PER_VPC):
        vpc = _vpc(world, tables, where, first // PER_VPC, numbers)
        for i in range(first, min(endpoints, first + PER_VPC)):
            _endpoint(world, tables, where, vpc, i - first, numbers)


def _vpc(
    world: World, tables: Tables, where: Where, number: int, numbers: Iterator[int]
) -> tuple[Row, list[Row], str]:
    """Add a VPC; returns it with its subnets and its common group."""
    cidr = f"10.{number % 250}.0.0/16"
    vpc: Row = {
        "VpcId": f"vpc-{next(numbers):017x}",
        "OwnerId": where.account,
        "CidrBlock": cidr,
        "CidrBlockAssociationSet": [
            {
                "AssociationId": f"vpc-cidr-assoc-{next(numbers):017x}",
                "CidrBlock": cidr,
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "State": "available",
        "IsDefault": False,
        "Tags": [{"Key": "Name", "Value": f"network-{number}"}],
        "Attributes": {"EnableDnsSupport": True, "EnableDnsHostnames": True},
    }
    subnets = [
        {
            "SubnetId": f"subnet-{next(numbers):017x}",
            "VpcId": vpc["VpcId"],
            "OwnerId": where.account,
            "AvailabilityZone": zone["ZoneName"],
            "AvailabilityZoneId": zone["ZoneId"],
            "CidrBlock": f"10.{number % 250}.{i}.0/24",
            "State": "available",
            "Tags": _NONE,
        }
        for i, zone in enumerate(tables["AvailabilityZones"])
    ]
    tables["Vpcs"].append(vpc)
    tables["Subnets"].extend(subnets)
    acl, table = f"acl-{next(numbers):017x}", f"rtb-{next(numbers):017x}"
    allow: Row = {"RuleNumber": 100, "RuleAction": "allow", "Protocol": "-1"}
    tables["NetworkAcls"].append(
        {
            "NetworkAclId": acl,
            "VpcId": vpc["VpcId"],
            "OwnerId": where.account,
            "IsDefault": True,
            "Associations": [
                {
                    "NetworkAclAssociationId": f"aclassoc-{next(numbers):017x}",
                    "NetworkAclId": acl,
                    "SubnetId": subnet["SubnetId"],
                }
                for subnet in subnets
            ],
            "Entries": [
                {**allow, "CidrBlock": "0.0.0.0/0", "Egress": egress} for egress in (False, True)
            ],
            "Tags": _NONE,
        }
    )
    tables["RouteTables"].append(
        {
            "RouteTableId": table,
            "VpcId": vpc["VpcId"],
            "OwnerId": where.account,
            "Associations": [
                {
                    "RouteTableAssociationId": f"rtbassoc-{next(numbers):017x}",
                    "RouteTableId": table,
                    "Main": True,
                    "AssociationState": {"State": "associated"},
                }
            ],
            "Routes": [
                {
                    "DestinationCidrBlock": cidr,
                    "GatewayId": "local",
                    "Origin": "CreateRouteTable",
                    "State": "active",
                }
            ],
            "Tags": _NONE,
        }
    )
    group = f"/vpc/network-{number}"
    tables["FlowLogs"].append(
        {
            "FlowLogId": f"fl-{next(numbers):017x}",
            "FlowLogStatus": "ACTIVE",
            "ResourceId": vpc["VpcId"],
            "TrafficType": "ALL",
            "LogDestinationType": "cloud-watch-logs",
            "LogGroupName": group,
            "LogDestination": f"arn:aws:logs:{where.region}:{where.account}:log-group:{group}",
            "LogFormat": DEFAULT,
            "MaxAggregationInterval": 60,
            "DeliverLogsStatus": "SUCCESS",
            "CreationTime": CREATED,
            "Tags": _NONE,
        }
    )
    world.log_groups.setdefault(where, []).append(group)
    return vpc, subnets, _group(tables, where, vpc, "common", numbers)


def _group(tables: Tables, where: Where, vpc: Row, name: str, numbers: Iterator[int]) -> str:
    group_id = f"sg-{next(numbers):017x}"
    tables["SecurityGroups"].append(
        {
            "GroupId": group_id,
            "GroupName": name,
            "Description": name,
            "VpcId": vpc["VpcId"],
            "OwnerId": where.account,
            "Tags": _NONE,
        }
    )
    for egress, protocol, port, cidr in (
        (False, "tcp", 443, vpc["CidrBlock"]),
        (True, "-1", -1, "0.0.0.0/0"),
    ):
        tables["SecurityGroupRules"].append(
            {
                "SecurityGroupRuleId": f"sgr-{next(numbers):017x}",
                "GroupId": group_id,
                "GroupOwnerId": where.account,
                "IsEgress": egress,
                "IpProtocol": protocol,
                "FromPort": port,
                "ToPort": port,
                "CidrIpv4": cidr,
            }
        )
    return group_id


def _endpoint(
    world: World,
    tables: Tables,
    where: Where,
    vpc: tuple[Row, list[Row], str],
    number: int,
    numbers: Iterator[int],
) -> None:
    row, subnets, common = vpc
    endpoint_id, suffix = f"vpce-{next(numbers):017x}", f"{next(numbers) & 0xFFFFFFFF:08x}"
    name = f"service-{number}"
    shared = number % _SHARED == 0
    group_id = common if shared else _group(tables, where, row, name, numbers)
    groups = [{"GroupId": group_id, "GroupName": "common" if shared else name}]
    domain = f"{name}.{where.region}.vpce.amazonaws.com"
    private = f"{name}.{where.region}.amazonaws.com"
    names: dict[str, list[str]] = {f"{endpoint_id}-{suffix}.{domain}": []}
    regional = names[f"{endpoint_id}-{suffix}.{domain}"]
    interfaces = []
    for subnet in subnets:
        address = f"{subnet['CidrBlock'][:-4]}{number + 10}"
        regional.append(address)
        names[f"{endpoint_id}-{suffix}-{subnet['AvailabilityZone']}.{domain}"] = [address]
        interface_id = f"eni-{next(numbers):017x}"
        interfaces.append(interface_id)
        tables["NetworkInterfaces"].append(
            {
                "NetworkInterfaceId": interface_id,
                "InterfaceType": "vpc_endpoint",
                "Description": f"VPC Endpoint Interface {endpoint_id}",
                "RequesterManaged": True,
                "OwnerId": where.account,
                "VpcId": row["VpcId"],
                "SubnetId": subnet["SubnetId"],
                "AvailabilityZone": subnet["AvailabilityZone"],
                "AvailabilityZoneId": subnet["AvailabilityZoneId"],
                "PrivateIpAddress": address,
                "PrivateIpAddresses": [{"PrivateIpAddress": address, "Primary": True}],
                "Ipv6Addresses": _NONE,
                "Groups": groups,
                "Status": "in-use",
                "SourceDestCheck": True,
                "TagSet": _NONE,
            }
        )
    public = world.names.setdefault(PUBLIC, {})
    public.update(names)
    public.setdefault(private, ["203.0.113.10", "203.0.113.11"])
    world.names.setdefault(row["VpcId"], {})[private] = regional
    tables["VpcEndpoints"].append(
        {
            "VpcEndpointId": endpoint_id,
            "VpcEndpointType": "Interface",
            "VpcId": row["VpcId"],
            "ServiceName": f"com.amazonaws.{where.region}.{name}",
            "ServiceRegion": where.region,
            "State": "available",
            "PolicyDocument": ALLOW_ALL,
            "RouteTableIds": _NONE,
            "SubnetIds": [subnet["SubnetId"] for subnet in subnets],
            "Groups": groups,
            "IpAddressType": "ipv4",
            "DnsOptions": _DNS_OPTIONS,
            "PrivateDnsEnabled": True,
            "RequesterManaged": False,
            "NetworkInterfaceIds": interfaces,
            "DnsEntries": [{"DnsName": n, "HostedZoneId": _HOSTED_ZONE} for n in (*names, private)],
            "CreationTimestamp": CREATED,
            "OwnerId": where.account,
            "Tags": [{"Key": "Name", "Value": name}, {"Key": "team", "Value": f"team-{number}"}],
        }
    )
