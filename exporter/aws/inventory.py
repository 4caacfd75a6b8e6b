"""What one account and Region holds: paged describes, two calls per VPC, nothing per endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from exporter.aws.session import attempt
from exporter.model import (
    Endpoint,
    FlowLog,
    Interface,
    Inventory,
    Known,
    Part,
    Scope,
    Subnet,
    Unavailable,
    Vpc,
    addresses_of,
    classify_name,
    endpoint_state,
    last_known,
)

T = TypeVar("T")
Row = Mapping[str, Any]


def collect(ec2: Any, scope: Scope, clock: Callable[[], float], budget: float = 60.0) -> Inventory:
    """Return the inventory of the scope that the EC2 client lists.

    A call that fails makes its own part Unavailable and no other. Interfaces and VPCs are those
    that endpoints are in: which these are is unknown while the endpoints are. After `budget`
    seconds no VPC is asked for its attributes any more: what was listed by then must not wait for
    calls that hang.
    """

    def part(
        operation: str, key: str, translate: Callable[[Row], T], **more: Any
    ) -> Part[Mapping[str, T]]:
        def fetch() -> Known[Mapping[str, T]]:
            as_of = clock()  # before the first page: nothing later than this is claimed
            pages = ec2.get_paginator(operation).paginate(
                PaginationConfig={"PageSize": 1000}, **more
            )
            rows = [row for page in pages for row in page[key]]
            return Known({item.id: item for item in map(translate, rows)}, as_of)  # type: ignore[attr-defined]

        result: Part[Mapping[str, T]] = attempt(fetch)
        return result

    out_of_time = clock() + budget
    endpoints = part("describe_vpc_endpoints", "VpcEndpoints", lambda row: endpoint(row, scope))
    of_endpoints = (last_known(endpoints) or {}).values()
    interfaces = _within(
        endpoints,
        part(
            "describe_network_interfaces",
            "NetworkInterfaces",
            interface,
            # Accounts can hide the interfaces of managed resources, endpoints among them.
            IncludeManagedResources=True,
        ),
        {i for e in of_endpoints for i in e.interface_ids},
    )
    vpc_ids = {e.vpc_id for e in of_endpoints}
    vpcs = _within(endpoints, part("describe_vpcs", "Vpcs", vpc), vpc_ids)
    if isinstance(vpcs, Known):
        named = {v.id: _with_attributes(ec2, v, clock, out_of_time) for v in vpcs.value.values()}
        vpcs = Known(named, vpcs.as_of)
    return Inventory(
        scope,
        endpoints,
        interfaces,
        vpcs,
        part("describe_subnets", "Subnets", subnet),
        part("describe_flow_logs", "FlowLogs", flow_log),
    )


def _within(
    endpoints: Part[Any], listed: Part[Mapping[str, T]], ids: Iterable[str]
) -> Part[Mapping[str, T]]:
    """Keep what the endpoints are in; with the endpoints unknown that is unknown too."""
    if isinstance(listed, Unavailable):
        return listed
    if isinstance(endpoints, Unavailable):
        return Unavailable(f"the endpoints are unknown: {endpoints.reason}", endpoints.outcome)
    return Known({i: listed.value[i] for i in sorted(ids) if i in listed.value}, listed.as_of)


def _with_attributes(ec2: Any, vpc: Vpc, clock: Callable[[], float], out_of_time: float) -> Vpc:
    def attribute(name: str) -> Part[bool]:
        if clock() > out_of_time:
            return Unavailable(f"DescribeVpcAttribute {name}: no time left in this pass")

        def fetch() -> Known[bool]:
            as_of = clock()
            answer = ec2.describe_vpc_attribute(VpcId=vpc.id, Attribute=name)
            return Known(bool(answer[name[:1].upper() + name[1:]]["Value"]), as_of)

        result: Part[bool] = attempt(fetch)
        return result

    # The API takes one attribute a call.
    return Vpc(
        vpc.id,
        vpc.owner,
        vpc.cidrs,
        attribute("enableDnsSupport"),
        attribute("enableDnsHostnames"),
    )


def endpoint(row: Row, scope: Scope) -> Endpoint:
    """Translate a VpcEndpoint; tolerates what older and partial answers leave out."""
    endpoint_id = row["VpcEndpointId"]
    error = row.get("LastError") or {}
    options = row.get("DnsOptions") or {}
    created = row.get("CreationTimestamp")
    return Endpoint(
        id=endpoint_id,
        scope=scope,
        type=row.get("VpcEndpointType", "Gateway"),
        state=endpoint_state(row.get("State", "")),
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
        tags=_tags(row),
    )


def interface(row: Row) -> Interface:
    """Translate a NetworkInterface with all of its addresses, v4 and v6."""
    private = [a["PrivateIpAddress"] for a in row.get("PrivateIpAddresses", ())]
    if row.get("PrivateIpAddress"):
        private.append(row["PrivateIpAddress"])
    return Interface(
        id=row["NetworkInterfaceId"],
        vpc_id=row.get("VpcId", ""),
        subnet_id=row.get("SubnetId", ""),
        zone=row.get("AvailabilityZone", ""),
        zone_id=row.get("AvailabilityZoneId", ""),
        addresses=addresses_of(
            iter(private + [a["Ipv6Address"] for a in row.get("Ipv6Addresses", ())])
        ),
        security_group_ids=tuple(g["GroupId"] for g in row.get("Groups", ())),
        type=row.get("InterfaceType", ""),
        status=row.get("Status", ""),
    )


def vpc(row: Row) -> Vpc:
    """Translate a Vpc; its DNS attributes need calls of their own."""
    v4 = [a["CidrBlock"] for a in row.get("CidrBlockAssociationSet", ())] or [row["CidrBlock"]]
    v6 = [a["Ipv6CidrBlock"] for a in row.get("Ipv6CidrBlockAssociationSet", ())]
    unread: Part[bool] = Unavailable("not asked yet")
    return Vpc(row["VpcId"], row.get("OwnerId", ""), (*v4, *v6), unread, unread)


def subnet(row: Row) -> Subnet:
    """Translate a Subnet."""
    v4 = [row["CidrBlock"]] if row.get("CidrBlock") else []
    v6 = [a["Ipv6CidrBlock"] for a in row.get("Ipv6CidrBlockAssociationSet", ())]
    return Subnet(
        row["SubnetId"],
        row.get("VpcId", ""),
        row.get("AvailabilityZone", ""),
        row.get("AvailabilityZoneId", ""),
        (*v4, *v6),
    )


def flow_log(row: Row) -> FlowLog:
    """Translate a FlowLog; `destination` is the log group's name or the bucket's ARN."""
    kind = row.get("LogDestinationType", "cloud-watch-logs")
    destination = row.get("LogDestination", "")
    if kind == "cloud-watch-logs":
        # arn:aws:logs:REGION:ACCOUNT:log-group:NAME[:*]
        tail = destination.partition(":log-group:")[2].removesuffix(":*")
        destination = row.get("LogGroupName") or tail
    created = row.get("CreationTime")
    return FlowLog(
        id=row["FlowLogId"],
        resource_id=row["ResourceId"],
        traffic_type=row.get("TrafficType", ""),
        destination_type=kind,
        destination=destination,
        format=row.get("LogFormat", ""),
        aggregation=int(row.get("MaxAggregationInterval", 600)),
        status=row.get("FlowLogStatus", ""),
        delivery_status=row.get("DeliverLogsStatus", ""),
        delivery_error=row.get("DeliverLogsErrorMessage", ""),
        created=created.timestamp() if created else None,
        file_format=(row.get("DestinationOptions") or {}).get("FileFormat", ""),
    )


def _tags(row: Row) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in row.get("Tags", ())}
