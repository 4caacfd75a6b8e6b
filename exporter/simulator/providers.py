"""Builds endpoint services with what stands behind them: load balancer, listener, targets.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ServiceConfiguration.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancer.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.simulator.builder import Builder
from exporter.simulator.changes.targets import HEALTHY, UNHEALTHY, UNUSED
from exporter.simulator.interfaces import CREATED, Rule
from exporter.simulator.names import addresses_of
from exporter.simulator.state import Row

HEALTH_PORT = 8080


@dataclass(frozen=True, slots=True)
class Service:
    """What the builder of endpoints needs of a service: its id and its name."""

    id: str
    name: str


def service(
    build: Builder,
    vpc_id: str,
    name: str,
    *,
    kind: str = "Interface",
    state: str = "Available",
    acceptance: bool = False,
    private_name: str = "",
    private_state: str = "verified",
    listener: int | None = 443,
    unhealthy: Sequence[int] = (),
    balancer_ingress: Sequence[Rule] | None = None,
    target_ingress: Sequence[Rule] | None = None,
    regions: Sequence[str] = (),
    ip_types: Sequence[str] = ("ipv4",),
    consumer: str = "*",
    zones: Sequence[int] = (1, 2),
) -> Service:
    """Add a service with a load balancer in the zones, by number, and one target in each.

    `unhealthy` are those of these zones, counted from 0, whose target fails its health check. With
    `balancer_ingress` the load balancer has a security group, enforced on PrivateLink traffic.
    """
    service_id = build.new_id("vpce-svc")
    region = build.where.region
    subnets = [build.subnets(vpc_id)[zone] for zone in zones]
    gateway = kind == "GatewayLoadBalancer"
    balancer = _balancer(build, vpc_id, name, subnets, gateway, balancer_ingress)
    arn = balancer["LoadBalancerArn"]
    _targets(build, balancer, name, subnets, unhealthy, target_ingress, gateway, listener)
    service_name = f"com.amazonaws.vpce.{region}.{service_id}"
    base = f"{service_id}.{region}.vpce.amazonaws.com"
    private = {}
    if private_name:
        private = {
            "PrivateDnsName": private_name,
            "PrivateDnsNameConfiguration": {
                "State": private_state,
                "Type": "TXT",
                "Value": f"vpce:{build.new_id('x')[2:]}",
                "Name": f"_{build.new_id('x')[2:18]}",
            },
        }
    build.table("ServiceConfigurations").append(
        {
            "ServiceType": [{"ServiceType": kind}],
            "ServiceId": service_id,
            "ServiceName": service_name,
            "ServiceState": state,
            "AvailabilityZoneIds": sorted(s["AvailabilityZoneId"] for s in subnets),
            "AvailabilityZones": sorted(s["AvailabilityZone"] for s in subnets),
            "AcceptanceRequired": acceptance,
            "ManagesVpcEndpoints": False,
            "GatewayLoadBalancerArns" if gateway else "NetworkLoadBalancerArns": [arn],
            "SupportedIpAddressTypes": list(ip_types),
            "BaseEndpointDnsNames": [] if gateway else [base],
            **private,
            "Tags": [{"Key": "Name", "Value": name}],
            "SupportedRegions": [{"Region": r, "ServiceState": "Available"} for r in regions],
            "RemoteAccessEnabled": bool(regions),
        }
    )
    principal = consumer if consumer == "*" else f"arn:aws:iam::{consumer}:root"
    build.table("ServicePermissions").append(
        {
            "PrincipalType": "All" if consumer == "*" else "Account",
            "Principal": principal,
            "ServicePermissionId": build.new_id("vpce-svc-perm"),
            "ServiceId": service_id,
            "Tags": [],
        }
    )
    return Service(service_id, service_name)


def _balancer(
    build: Builder,
    vpc_id: str,
    name: str,
    subnets: Sequence[Row],
    gateway: bool,
    ingress: Sequence[Rule] | None,
) -> Row:
    account, region = build.where
    kind, hash_ = ("gwy" if gateway else "net"), build.new_id("x")[2:18]
    groups = []
    if ingress is not None:
        groups = [build.security_group(vpc_id, f"{name}-nlb", ingress=ingress)]
    for subnet in subnets:
        build.interface(
            subnet,
            groups,
            "gateway_load_balancer" if gateway else "network_load_balancer",
            f"ELB {kind}/{name}/{hash_}",
            RequesterId="amazon-elb",
        )
    row: Row = {
        "LoadBalancerArn": f"arn:aws:elasticloadbalancing:{region}:{account}:"
        f"loadbalancer/{kind}/{name}/{hash_}",
        **({} if gateway else {"DNSName": f"{name}-{hash_}.elb.{region}.amazonaws.com"}),
        **({} if gateway else {"CanonicalHostedZoneId": "Z2IFOLAFXWLO4F", "Scheme": "internal"}),
        "CreatedTime": CREATED,
        "LoadBalancerName": name,
        "VpcId": vpc_id,
        "State": {"Code": "active"},
        "Type": "gateway" if gateway else "network",
        "AvailabilityZones": [
            {
                "ZoneName": subnet["AvailabilityZone"],
                "SubnetId": subnet["SubnetId"],
                "LoadBalancerAddresses": [],
            }
            for subnet in subnets
        ],
        **({"SecurityGroups": groups} if groups else {}),
        "IpAddressType": "ipv4",
        **({"EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic": "on"} if groups else {}),
        # The simulator's own: what DescribeLoadBalancerAttributes answers.
        "Attributes": {
            "deletion_protection.enabled": "false",
            "load_balancing.cross_zone.enabled": "false",
            **(
                {}
                if gateway
                else {
                    "access_logs.s3.enabled": "false",
                    "dns_record.client_routing_policy": "any_availability_zone",
                    "ipv6.deny_all_igw_traffic": "false",
                    "zonal_shift.config.enabled": "false",
                }
            ),
        },
    }
    build.table("LoadBalancers").append(row)
    return row


def _targets(
    build: Builder,
    balancer: Row,
    name: str,
    subnets: Sequence[Row],
    unhealthy: Sequence[int],
    ingress: Sequence[Rule] | None,
    gateway: bool,
    listener: int | None,
) -> None:
    """Add a target in each zone, the group of them, and the listener that forwards to it."""
    account, region = build.where
    port = 6081 if gateway else 443
    blocks = [subnet["CidrBlock"] for subnet in subnets]
    if ingress is None:
        ingress = [("-1", None, b) if gateway else ("tcp", port, b) for b in blocks]
        ingress += [] if gateway else [("tcp", HEALTH_PORT, b) for b in blocks]
    group = build.security_group(balancer["VpcId"], f"{name}-targets", ingress=ingress)
    targets = [build.interface(s, [group], "interface", f"{name} target") for s in subnets]
    arn = (
        f"arn:aws:elasticloadbalancing:{region}:{account}:"
        f"targetgroup/{name}/{build.new_id('x')[2:18]}"
    )
    protocol = "GENEVE" if gateway else "TCP"
    build.table("TargetGroups").append(
        {
            "TargetGroupArn": arn,
            "TargetGroupName": name,
            "Protocol": protocol,
            "Port": port,
            "VpcId": balancer["VpcId"],
            "HealthCheckProtocol": "TCP",
            "HealthCheckPort": str(HEALTH_PORT),
            "HealthCheckEnabled": True,
            "HealthCheckIntervalSeconds": 30,
            "HealthCheckTimeoutSeconds": 10,
            "HealthyThresholdCount": 3,
            "UnhealthyThresholdCount": 3,
            "LoadBalancerArns": [] if listener is None else [balancer["LoadBalancerArn"]],
            "TargetType": "ip",
            "IpAddressType": "ipv4",
            # The simulator's own: what the other two operations answer.
            "Attributes": {
                "deregistration_delay.timeout_seconds": "300",
                "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
                "preserve_client_ip.enabled": "false",
                "proxy_protocol_v2.enabled": "false",
                "stickiness.enabled": "false",
                "stickiness.type": "source_ip",
            },
            "TargetHealth": [
                {
                    "Target": {
                        "Id": addresses_of(target)[0],
                        "Port": port,
                        "AvailabilityZone": target["AvailabilityZone"],
                    },
                    "HealthCheckPort": str(HEALTH_PORT),
                    "TargetHealth": _health(number in unhealthy, listener is not None),
                }
                for number, target in enumerate(targets)
            ],
        }
    )
    if listener is None:
        return
    listener_id = f"{balancer['LoadBalancerArn'].partition('loadbalancer/')[2]}"
    build.table("Listeners").append(
        {
            "ListenerArn": f"arn:aws:elasticloadbalancing:{region}:{account}:"
            f"listener/{listener_id}/{build.new_id('x')[2:18]}",
            "LoadBalancerArn": balancer["LoadBalancerArn"],
            **({} if gateway else {"Port": listener, "Protocol": protocol}),
            "DefaultActions": [
                {
                    "Type": "forward",
                    "TargetGroupArn": arn,
                    "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": arn}]},
                }
            ],
        }
    )


def _health(unhealthy: bool, used: bool) -> Row:
    if not used:
        return dict(UNUSED)
    return dict(UNHEALTHY if unhealthy else HEALTHY)
