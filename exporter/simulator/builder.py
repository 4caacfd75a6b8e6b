"""Builds endpoints of every type, with their interfaces, names and connections.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcEndpoint.html
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from exporter.simulator import names
from exporter.simulator.interfaces import CREATED, InterfaceBuilder
from exporter.simulator.state import PUBLIC, Row

ALLOW_ALL = '{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}]}'


class Builder(InterfaceBuilder):
    """Adds endpoints, and the networks that they live in, to an account in a Region."""

    def endpoint(
        self,
        vpc_id: str,
        name: str,
        service: str = "",
        *,
        kind: str = "Interface",
        state: str = "available",
        private_name: str | None = None,
        private_dns: bool | None = None,
        resolves_to: list[str] | None = None,
        group_id: str | None = None,
        error: tuple[str, str] | None = None,
        zones: Sequence[int] = (0, 1),
        ip: str = "ipv4",
        policy: str = ALLOW_ALL,
        created: datetime = CREATED,
        service_region: str = "",
        tags: dict[str, str] | None = None,
        hidden: bool = False,
        **more: Any,
    ) -> str:
        """Add an endpoint with an interface in each zone, and its names; returns its id.

        `private_name` may be a wildcard; `private_dns` says whether it is enabled, yes where there
        is one. `resolves_to` is what it is answered with instead of the endpoint's own addresses.
        `more` are members of the row.
        """
        endpoint_id = self.new_id("vpce")
        enabled = private_name is not None if private_dns is None else private_dns
        tier = self._last_tier(vpc_id)
        subnets = [tier[zone] for zone in zones]
        grouped = kind != "GatewayLoadBalancer"
        groups = [group_id or self.security_group(vpc_id, f"{name}-endpoint")] if grouped else []
        interfaces = [
            self._endpoint_interface(endpoint_id, s, groups, kind, ip, hidden) for s in subnets
        ]
        region = service_region or self.where.region
        if private_name and private_name.endswith(".amazonaws.com"):
            self.public_name(private_name)
        row = {
            "VpcEndpointId": endpoint_id,
            "VpcEndpointType": kind,
            "VpcId": vpc_id,
            **({"ServiceName": service} if service else {}),
            **({"ServiceRegion": region} if service else {}),
            "State": state,
            "PolicyDocument": policy,
            "RouteTableIds": [],
            "SubnetIds": [s["SubnetId"] for s in subnets],
            "Groups": [{"GroupId": g, "GroupName": self._group_name(g)} for g in groups],
            "IpAddressType": ip,
            "DnsOptions": {"DnsRecordIpType": ip},
            "PrivateDnsEnabled": enabled,
            "RequesterManaged": False,
            "NetworkInterfaceIds": [i["NetworkInterfaceId"] for i in interfaces],
            "DnsEntries": [],
            "CreationTimestamp": created,
            "OwnerId": self.where.account,
            "Tags": [{"Key": k, "Value": v} for k, v in {"Name": name, **(tags or {})}.items()],
            **({"LastError": {"Code": error[0], "Message": error[1]}} if error else {}),
            **more,
            # The simulator's own: of its names, and which are in DNS when the endpoint is in use.
            **(
                {"Suffix": f"{self._random.getrandbits(40):08x}"[:8]} if kind == "Interface" else {}
            ),
            "PrivateName": private_name,
            "ResolvesTo": resolves_to,
            "Names": {},
        }
        self.table("VpcEndpoints").append(row)
        names.name(self.world, row)
        self._connect(row)
        return endpoint_id

    def gateway_endpoint(
        self,
        vpc_id: str,
        name: str,
        service: str,
        route_tables: Iterable[str],
        *,
        policy: str = ALLOW_ALL,
        tags: dict[str, str] | None = None,
    ) -> str:
        """Add a gateway endpoint of these tables, which get no route yet; returns its id."""
        endpoint_id = self.new_id("vpce")
        self.table("VpcEndpoints").append(
            {
                "VpcEndpointId": endpoint_id,
                "VpcEndpointType": "Gateway",
                "VpcId": vpc_id,
                "ServiceName": service,
                "ServiceRegion": self.where.region,
                "State": "available",
                "PolicyDocument": policy,
                "RouteTableIds": list(route_tables),
                "SubnetIds": [],
                "Groups": [],
                "PrivateDnsEnabled": False,
                "RequesterManaged": False,
                "NetworkInterfaceIds": [],
                "DnsEntries": [],
                "CreationTimestamp": CREATED,
                "OwnerId": self.where.account,
                "Tags": [{"Key": k, "Value": v} for k, v in {"Name": name, **(tags or {})}.items()],
            }
        )
        return endpoint_id

    def public_name(self, name: str) -> list[str]:
        """Give a name public addresses, the same ones each time; returns them."""
        number = zlib.crc32(name.encode()) % 120 + 2
        return self.world.names.setdefault(PUBLIC, {}).setdefault(
            name, [f"203.0.113.{number}", f"203.0.113.{number + 124}"]
        )

    def _last_tier(self, vpc_id: str) -> list[Row]:
        subnets = self.subnets(vpc_id)
        name = subnets[-1]["Tags"][0]["Value"]
        return [s for s in subnets if s["Tags"][0]["Value"] == name]

    def _group_name(self, group_id: str) -> str:
        return next(
            (g["GroupName"] for g in self.table("SecurityGroups") if g["GroupId"] == group_id),
            group_id,
        )

    def _endpoint_interface(
        self, endpoint_id: str, subnet: Row, groups: list[str], kind: str, ip: str, hidden: bool
    ) -> Row:
        gateway = kind == "GatewayLoadBalancer"
        operator = {"Managed": True, "Principal": "ec2.amazonaws.com", "HiddenByDefault": True}
        return self.interface(
            subnet,
            groups,
            "gateway_load_balancer_endpoint" if gateway else "vpc_endpoint",
            f"VPC Endpoint Interface {endpoint_id}",
            ip=ip,
            RequesterId="727180483921",
            **({"Operator": operator} if hidden else {}),
        )

    def _connect(self, endpoint: Row) -> None:
        """Add the connection on the provider's side, where the provider is one of ours."""
        try:
            where, service = self.world.find(
                "ServiceConfigurations", "ServiceName", endpoint.get("ServiceName", "")
            )
        except KeyError:
            return
        connection = {
            "ServiceId": service["ServiceId"],
            "VpcEndpointId": endpoint["VpcEndpointId"],
            "VpcEndpointOwner": endpoint["OwnerId"],
            "VpcEndpointState": endpoint["State"],
            "VpcEndpointRegion": self.where.region,
            "CreationTimestamp": endpoint["CreationTimestamp"],
            "DnsEntries": endpoint["DnsEntries"],
            "NetworkLoadBalancerArns": service.get("NetworkLoadBalancerArns", []),
            "GatewayLoadBalancerArns": service.get("GatewayLoadBalancerArns", []),
            "IpAddressType": endpoint["IpAddressType"],
            "VpcEndpointConnectionId": self.new_id("vpce-con"),
            "Tags": [],
        }
        self.world.table("VpcEndpointConnections", *where).append(connection)
