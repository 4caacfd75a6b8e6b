"""The provider's side, from AWS's words to ours: services, connections, load balancers, targets."""

from __future__ import annotations

from exporter.aws.endpoints import tags
from exporter.aws.listing import Row
from exporter.model import (
    Connection,
    EndpointService,
    Listener,
    LoadBalancer,
    LoadBalancerZone,
    Principal,
    PrivateDnsName,
    Scope,
    Target,
    TargetGroup,
    endpoint_state,
    service_state,
)


def service(row: Row, scope: Scope) -> EndpointService:
    """Translate a ServiceConfiguration."""
    return EndpointService(
        id=row["ServiceId"],
        scope=scope,
        service_name=row.get("ServiceName", ""),
        state=service_state(row.get("ServiceState", "")),
        aws_state=row.get("ServiceState", ""),
        types=tuple(t["ServiceType"] for t in row.get("ServiceType", ())),
        zones=tuple(row.get("AvailabilityZones", ())),
        zone_ids=tuple(row.get("AvailabilityZoneIds", ())),
        acceptance_required=bool(row.get("AcceptanceRequired", False)),
        manages_endpoints=bool(row.get("ManagesVpcEndpoints", False)),
        load_balancer_arns=_load_balancers(row),
        private_dns=_private_dns(row),
        base_dns_names=tuple(row.get("BaseEndpointDnsNames", ())),
        ip_address_types=tuple(row.get("SupportedIpAddressTypes", ())),
        remote_access=bool(row.get("RemoteAccessEnabled", False)),
        supported_regions=tuple(r["Region"] for r in row.get("SupportedRegions", ())),
        tags=tags(row),
    )


def connection(row: Row) -> Connection:
    """Translate a VpcEndpointConnection."""
    created = row.get("CreationTimestamp")
    service_id, endpoint_id = row["ServiceId"], row["VpcEndpointId"]
    return Connection(
        id=row.get("VpcEndpointConnectionId") or f"{service_id}/{endpoint_id}",
        service_id=service_id,
        endpoint_id=endpoint_id,
        owner=row.get("VpcEndpointOwner", ""),
        state=endpoint_state(row.get("VpcEndpointState", "")),
        region=row.get("VpcEndpointRegion", ""),
        created=created.timestamp() if created else None,
        load_balancer_arns=_load_balancers(row),
    )


def principal(row: Row) -> Principal:
    """Translate an AllowedPrincipal."""
    return Principal(row.get("PrincipalType", ""), row["Principal"])


def load_balancer(row: Row) -> LoadBalancer:
    """Translate a LoadBalancer."""
    state = row.get("State") or {}
    return LoadBalancer(
        id=row["LoadBalancerArn"],
        name=row.get("LoadBalancerName", ""),
        type=row.get("Type", ""),
        state=state.get("Code", ""),
        vpc_id=row.get("VpcId", ""),
        zones=tuple(
            LoadBalancerZone(z["ZoneName"], z.get("SubnetId", ""))
            for z in row.get("AvailabilityZones", ())
        ),
        security_group_ids=tuple(row.get("SecurityGroups", ())),
        enforces_inbound=row.get("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", ""),
        ip_address_type=row.get("IpAddressType", ""),
        state_reason=state.get("Reason", ""),
    )


def listener(row: Row) -> Listener:
    """Translate a Listener; a Gateway Load Balancer's has neither protocol nor port."""
    arns = []
    for action in row.get("DefaultActions", ()):
        several = (action.get("ForwardConfig") or {}).get("TargetGroups", ())
        arns += [group["TargetGroupArn"] for group in several]
        if action.get("TargetGroupArn"):
            arns.append(action["TargetGroupArn"])
    return Listener(
        row["ListenerArn"], row.get("Protocol", ""), row.get("Port"), tuple(dict.fromkeys(arns))
    )


def target_group(row: Row) -> TargetGroup:
    """Translate a TargetGroup."""
    return TargetGroup(
        id=row["TargetGroupArn"],
        name=row.get("TargetGroupName", ""),
        protocol=row.get("Protocol", ""),
        port=row.get("Port"),
        vpc_id=row.get("VpcId", ""),
        target_type=row.get("TargetType", ""),
        load_balancer_arns=tuple(row.get("LoadBalancerArns", ())),
        health_check_protocol=row.get("HealthCheckProtocol", ""),
        health_check_port=row.get("HealthCheckPort", ""),
        health_check_enabled=bool(row.get("HealthCheckEnabled", True)),
        ip_address_type=row.get("IpAddressType", ""),
    )


def target(row: Row) -> Target:
    """Translate a TargetHealthDescription."""
    of, health = row["Target"], row["TargetHealth"]
    return Target(
        id=of["Id"],
        port=of.get("Port"),
        zone=of.get("AvailabilityZone", ""),
        state=health["State"],
        reason=health.get("Reason", ""),
        description=health.get("Description", ""),
    )


def _load_balancers(row: Row) -> tuple[str, ...]:
    return (
        *row.get("NetworkLoadBalancerArns", ()),
        *row.get("GatewayLoadBalancerArns", ()),
    )


def _private_dns(row: Row) -> PrivateDnsName | None:
    name, proof = row.get("PrivateDnsName"), row.get("PrivateDnsNameConfiguration") or {}
    if not name:
        return None
    return PrivateDnsName(
        name,
        proof.get("State", ""),
        proof.get("Type", ""),
        proof.get("Name", ""),
        proof.get("Value", ""),
    )
