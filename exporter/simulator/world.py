"""The simulated organisation, declared: AWS-shaped rows per account and Region, and names in DNS.

Account ids are those of AWS's documentation; public addresses are of RFC 5737.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any

from exporter.flowlogs.formats import DEFAULT

Row = dict[str, Any]

ACCOUNT = "111122223333"
REGION = "eu-west-1"
ZONES = (("eu-west-1a", "euw1-az1"), ("eu-west-1b", "euw1-az2"))
RICH_FORMAT = (
    DEFAULT + " ${vpc-id} ${subnet-id} ${tcp-flags} ${type} ${pkt-srcaddr} ${pkt-dstaddr} "
    "${flow-direction}"
)
_CREATED = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Flow:
    """Traffic that one client sends to one endpoint: so many connections in each window."""

    endpoint_id: str
    client: str
    port: int = 443
    connections: int = 1


@dataclass(slots=True)
class World:
    """Everything there is. Take `lock` to change what requests may be reading."""

    tables: dict[tuple[str, str], dict[str, list[Row]]] = field(default_factory=dict)
    log_groups: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    flows: list[Flow] = field(default_factory=list)
    # The group whose rule for the port the clock opens and closes.
    toggled_group: str = ""
    broken: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def table(self, name: str, account: str = ACCOUNT, region: str = REGION) -> list[Row]:
        """Return the rows of a table, to read and to change."""
        return self.tables.setdefault((account, region), {}).setdefault(name, [])

    def row(self, table: str, key: str, value: str) -> Row:
        """Return the row whose key has the value; raises StopIteration when there is none."""
        return next(row for row in self.table(table) if row[key] == value)

    def vpc_ids(self) -> list[str]:
        """Return every VPC's id."""
        return [row["VpcId"] for t in self.tables.values() for row in t.get("Vpcs", ())]

    def allows(self, group_ids: list[str], port: int) -> bool:
        """Whether one of the groups lets TCP to the port in, from anywhere in 10.0.0.0/8."""
        return any(
            rule["FromPort"] <= port <= rule["ToPort"]
            for row in self.table("SecurityGroups")
            if row["GroupId"] in group_ids
            for rule in row["IpPermissions"]
        )


class Builder:
    """Adds VPCs, flow logs and endpoints to a world, with everything that belongs to them."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self._random = random.Random(seed)

    def _id(self, prefix: str) -> str:
        return f"{prefix}-{self._random.getrandbits(68):017x}"

    def vpc(self, cidr: str, name: str, dns_hostnames: bool = True) -> str:
        """Add a VPC with a subnet in each zone; returns its id."""
        vpc_id = self._id("vpc")
        self.world.table("Vpcs").append(
            {
                "VpcId": vpc_id,
                "OwnerId": ACCOUNT,
                "CidrBlock": cidr,
                "CidrBlockAssociationSet": [{"CidrBlock": cidr}],
                "State": "available",
                "Tags": [{"Key": "Name", "Value": name}],
                "Attributes": {"EnableDnsSupport": True, "EnableDnsHostnames": dns_hostnames},
            }
        )
        subnets = list(IPv4Network(cidr).subnets(new_prefix=24))
        for (zone, zone_id), subnet in zip(ZONES, subnets, strict=False):
            self.world.table("Subnets").append(
                {
                    "SubnetId": self._id("subnet"),
                    "VpcId": vpc_id,
                    "AvailabilityZone": zone,
                    "AvailabilityZoneId": zone_id,
                    "CidrBlock": str(subnet),
                    "State": "available",
                }
            )
        return vpc_id

    def security_group(self, vpc_id: str, name: str, port: int | None = 443) -> str:
        """Add a security group that lets 10.0.0.0/8 in to the port; returns its id."""
        group_id = self._id("sg")
        self.world.table("SecurityGroups").append(
            {
                "GroupId": group_id,
                "GroupName": name,
                "Description": name,
                "VpcId": vpc_id,
                "OwnerId": ACCOUNT,
                "IpPermissions": [] if port is None else [https(port)],
                "IpPermissionsEgress": [],
            }
        )
        return group_id

    def flow_log(self, resource_id: str, group: str, log_format: str = DEFAULT) -> str:
        """Add a flow log of everything at the resource, to a log group; returns its id."""
        flow_log_id = self._id("fl")
        self.world.table("FlowLogs").append(
            {
                "FlowLogId": flow_log_id,
                "FlowLogStatus": "ACTIVE",
                "ResourceId": resource_id,
                "TrafficType": "ALL",
                "LogDestinationType": "cloud-watch-logs",
                "LogGroupName": group,
                "LogDestination": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}",
                "LogFormat": log_format,
                "MaxAggregationInterval": 60,
                "DeliverLogsStatus": "SUCCESS",
                "CreationTime": _CREATED,
            }
        )
        groups = self.world.log_groups.setdefault((ACCOUNT, REGION), [])
        if group not in groups:
            groups.append(group)
        return flow_log_id

    def endpoint(
        self,
        vpc_id: str,
        name: str,
        service: str,
        *,
        state: str = "available",
        private_name: str | None = None,
        resolves_to: list[str] | None = None,
        group_id: str | None = None,
        error: tuple[str, str] | None = None,
    ) -> str:
        """Add an interface endpoint with an interface in each zone, and its names; returns its id.

        `resolves_to` is what its private name is answered with instead of its own addresses.
        """
        endpoint_id, suffix = self._id("vpce"), f"{self._random.getrandbits(40):08x}"[:8]
        groups = [group_id or self.security_group(vpc_id, f"{name}-endpoint")]
        subnets = [s for s in self.world.table("Subnets") if s["VpcId"] == vpc_id]
        interfaces = [self._interface(endpoint_id, s, groups) for s in subnets]
        label = "svc" if ".vpce-svc-" in service else service.rsplit(".", 1)[-1]
        domain = f"{label}.{REGION}.vpce.amazonaws.com"
        addresses = [i["PrivateIpAddress"] for i in interfaces]
        names = {f"{endpoint_id}-{suffix}.{domain}": addresses}
        for interface in interfaces:
            zonal = f"{endpoint_id}-{suffix}-{interface['AvailabilityZone']}.{domain}"
            names[zonal] = [interface["PrivateIpAddress"]]
        if private_name:
            names[private_name] = resolves_to or addresses
        if state == "available":
            self.world.names.update(names)
        self.world.table("VpcEndpoints").append(
            {
                "VpcEndpointId": endpoint_id,
                "VpcEndpointType": "Interface",
                "VpcId": vpc_id,
                "ServiceName": service,
                "ServiceRegion": REGION,
                "State": state,
                "PolicyDocument": '{"Statement":[{"Action":"*","Effect":"Allow",'
                '"Principal":"*","Resource":"*"}]}',
                "RouteTableIds": [],
                "SubnetIds": [s["SubnetId"] for s in subnets],
                "Groups": [{"GroupId": g, "GroupName": f"{name}-endpoint"} for g in groups],
                "IpAddressType": "ipv4",
                "DnsOptions": {"DnsRecordIpType": "ipv4"},
                "PrivateDnsEnabled": private_name is not None,
                "RequesterManaged": False,
                "NetworkInterfaceIds": [i["NetworkInterfaceId"] for i in interfaces],
                "DnsEntries": [{"DnsName": n, "HostedZoneId": "Z38GZ743OKFT7T"} for n in names],
                "CreationTimestamp": _CREATED,
                "OwnerId": ACCOUNT,
                "Tags": [{"Key": "Name", "Value": name}],
                **({"LastError": {"Code": error[0], "Message": error[1]}} if error else {}),
            }
        )
        return endpoint_id

    def _interface(self, endpoint_id: str, subnet: Row, groups: list[str]) -> Row:
        taken = {i["PrivateIpAddress"] for i in self.world.table("NetworkInterfaces")}
        hosts = list(IPv4Network(subnet["CidrBlock"]).hosts())[3:]  # AWS keeps the first four
        address = next(
            a for a in map(str, self._random.sample(hosts, len(hosts))) if a not in taken
        )
        row = {
            "NetworkInterfaceId": self._id("eni"),
            "InterfaceType": "vpc_endpoint",
            "Description": f"VPC Endpoint Interface {endpoint_id}",
            "RequesterManaged": True,
            "OwnerId": ACCOUNT,
            "VpcId": subnet["VpcId"],
            "SubnetId": subnet["SubnetId"],
            "AvailabilityZone": subnet["AvailabilityZone"],
            "AvailabilityZoneId": subnet["AvailabilityZoneId"],
            "PrivateIpAddress": address,
            "PrivateIpAddresses": [{"PrivateIpAddress": address, "Primary": True}],
            "Ipv6Addresses": [],
            "Groups": [{"GroupId": g} for g in groups],
            "Status": "in-use",
        }
        self.world.table("NetworkInterfaces").append(row)
        return row


def https(port: int = 443) -> Row:
    """Return an ingress rule that lets 10.0.0.0/8 in to the port."""
    return {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
        "Ipv6Ranges": [],
        "PrefixListIds": [],
        "UserIdGroupPairs": [],
    }


def demo_world(seed: int = 1) -> World:
    """Return the organisation of `demo`: six endpoints, five of them with one fault each."""
    world = World(keys={"AKIAIOSFODNN7EXAMPLE": ACCOUNT})
    build = Builder(world, seed)
    shop = build.vpc("10.1.0.0/16", "shop")
    legacy = build.vpc("10.2.0.0/16", "legacy", dns_hostnames=False)
    lab = build.vpc("10.3.0.0/16", "lab")
    build.flow_log(shop, "/vpc/shop", RICH_FORMAT)
    build.flow_log(legacy, "/vpc/legacy")
    payments = build.security_group(shop, "payments-endpoint", port=None)
    world.toggled_group = payments

    def service(number: int) -> str:
        return f"com.amazonaws.vpce.{REGION}.vpce-svc-{number:017x}"

    healthy = build.endpoint(
        shop,
        "secrets",
        f"com.amazonaws.{REGION}.secretsmanager",
        private_name=f"secretsmanager.{REGION}.amazonaws.com",
    )
    pending = build.endpoint(shop, "ledger", service(0xA1), state="pendingAcceptance")
    rejected = build.endpoint(
        shop,
        "reports",
        service(0xA2),
        state="rejected",
        error=("ConnectionRejected", "The endpoint service owner rejected the connection."),
    )
    closed = build.endpoint(
        shop,
        "payments",
        service(0xA3),
        private_name="payments.example.com",
        group_id=payments,
    )
    public = build.endpoint(
        legacy,
        "queue",
        f"com.amazonaws.{REGION}.sqs",
        private_name=f"sqs.{REGION}.amazonaws.com",
        resolves_to=["203.0.113.10", "203.0.113.11"],
    )
    dark = build.endpoint(
        lab,
        "metrics",
        f"com.amazonaws.{REGION}.monitoring",
        private_name=f"monitoring.{REGION}.amazonaws.com",
    )
    world.broken = {
        pending: "pendingAcceptance: its provider has not accepted the connection",
        rejected: "rejected: its provider refused the connection",
        closed: "REJECT: its security group lacks the rule for port 443, now and then",
        public: "its private name resolves to a public address: the VPC has DNS hostnames off",
        dark: "no flow log: nothing tells whether its traffic is accepted",
    }
    world.flows = [
        Flow(healthy, "10.1.0.77", connections=3),
        Flow(closed, "10.1.1.88", connections=4),
        Flow(closed, "10.1.0.77", connections=2),
        Flow(public, "10.2.0.55"),
        Flow(dark, "10.3.0.44"),
    ]
    return world
