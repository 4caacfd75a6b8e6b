"""The consumer's side, from AWS's words to ours. Tolerates what older and partial answers omit."""

from __future__ import annotations

from exporter.aws.listing import Row
from exporter.model import (
    Endpoint,
    EndpointAssociation,
    Scope,
    ServiceDetail,
    classify_name,
    endpoint_state,
)


def endpoint(row: Row, scope: Scope) -> Endpoint:
    """Translate a VpcEndpoint."""
    endpoint_id = row["VpcEndpointId"]
    error = row.get("LastError") or {}
    options = row.get("DnsOptions") or {}
    created = row.get("CreationTimestamp")
    return Endpoint(
        id=endpoint_id,
        scope=scope,
        type=row.get("VpcEndpointType", "Gateway"),
        state=endpoint_state(row.get("State", "")),
        aws_state=row.get("State", ""),
        service_name=row.get("ServiceName", "")
        or row.get("ServiceNetworkArn", "")
        or row.get("ResourceConfigurationArn", ""),
        service_region=row.get("ServiceRegion", ""),
        vpc_id=row.get("VpcId", ""),
        owner=row.get("OwnerId", ""),
        subnet_ids=tuple(row.get("SubnetIds", ())),
        interface_ids=tuple(row.get("NetworkInterfaceIds", ())),
        security_group_ids=tuple(g["GroupId"] for g in row.get("Groups", ())),
        route_table_ids=tuple(row.get("RouteTableIds", ())),
        ip_address_type=row.get("IpAddressType", "").lower(),
        dns_record_ip_type=options.get("DnsRecordIpType", "").lower(),
        private_dns_enabled=bool(row.get("PrivateDnsEnabled", False)),
        private_dns_inbound_only=bool(
            options.get("PrivateDnsOnlyForInboundResolverEndpoint", False)
        ),
        service_network_arn=row.get("ServiceNetworkArn", ""),
        resource_configuration_arn=row.get("ResourceConfigurationArn", ""),
        # One series per name: a name that is listed twice must not be one.
        dns_names=tuple(
            dict.fromkeys(
                classify_name(e["DnsName"], endpoint_id)
                for e in row.get("DnsEntries", ())
                if e.get("DnsName")
            )
        ),
        requester_managed=bool(row.get("RequesterManaged", False)),
        policy=row.get("PolicyDocument"),
        created=created.timestamp() if created else None,
        last_error=f"{error.get('Code', '')}: {error.get('Message', '')}" if error else None,
        failure_reason=row.get("FailureReason"),
        tags=tags(row),
    )


def association(row: Row) -> EndpointAssociation:
    """Translate a VpcEndpointAssociation."""
    failure = " ".join(filter(None, (row.get("FailureCode"), row.get("FailureReason"))))
    return EndpointAssociation(
        id=row["Id"],
        endpoint_id=row["VpcEndpointId"],
        service_network_arn=row.get("ServiceNetworkArn", ""),
        service_network_name=row.get("ServiceNetworkName", ""),
        resource_arn=row.get("AssociatedResourceArn", ""),
        accessibility=row.get("AssociatedResourceAccessibility", ""),
        failure=failure or None,
        dns_names=_names(row.get("DnsEntry")),
        private_dns_names=_names(row.get("PrivateDnsEntry")),
    )


def service_detail(row: Row) -> ServiceDetail:
    """Translate a ServiceDetail."""
    types = tuple(t["ServiceType"] for t in row.get("ServiceType", ()))
    private = [n["PrivateDnsName"] for n in row.get("PrivateDnsNames", ())]
    if row.get("PrivateDnsName"):
        private.append(row["PrivateDnsName"])
    return ServiceDetail(
        id=row.get("ServiceId") or f"{row['ServiceName']} {','.join(types)}",
        service_name=row["ServiceName"],
        types=types,
        owner=row.get("Owner", ""),
        region=row.get("ServiceRegion", ""),
        zones=tuple(row.get("AvailabilityZones", ())),
        zone_ids=tuple(row.get("AvailabilityZoneIds", ())),
        private_dns_names=tuple(dict.fromkeys(private)),
        private_dns_state=row.get("PrivateDnsNameVerificationState", ""),
        policy_supported=bool(row.get("VpcEndpointPolicySupported", False)),
        acceptance_required=bool(row.get("AcceptanceRequired", False)),
        ip_address_types=tuple(row.get("SupportedIpAddressTypes", ())),
    )


def tags(row: Row, key: str = "Tags") -> dict[str, str]:
    """Return a row's tags."""
    return {tag["Key"]: tag.get("Value", "") for tag in row.get(key, ())}


def _names(entry: Row | None) -> tuple[str, ...]:
    return (entry["DnsName"],) if entry and entry.get("DnsName") else ()
