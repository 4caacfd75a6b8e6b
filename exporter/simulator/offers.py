"""DescribeVpcEndpointServices: AWS's own services, and those of providers that admit the caller.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcEndpointServices.html
"""

from __future__ import annotations

from exporter.simulator.ec2_filters import FILTERS
from exporter.simulator.listing import by_ids, filtered, page
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError


def endpoint_services(world: World, where: Where, request: Row) -> Row:
    """Return a page of the services, with their names beside the details as AWS has it."""
    rows = _offered(world, where, request.get("ServiceRegions") or [where.region])
    rows = by_ids(rows, "ServiceName", request.get("ServiceNames"), _missing)
    rows = filtered(rows, request.get("Filters"), FILTERS["DescribeVpcEndpointServices"])
    found, token = page(
        rows,
        request.get("NextToken"),
        request.get("MaxResults"),
        1000,
        "DescribeVpcEndpointServices",
    )
    return {
        "ServiceNames": [row["ServiceName"] for row in found],
        "ServiceDetails": found,
        **({"NextToken": token} if token else {}),
    }


def _missing(name: str) -> AwsError:
    return AwsError("InvalidServiceName", f"The Vpc Endpoint Service '{name}' does not exist")


def _offered(world: World, where: Where, regions: list[str]) -> list[Row]:
    rows = []
    for region in regions:
        rows += world.tables.get((where.account, region), {}).get("AwsServices", [])
    for (owner, region), tables in world.tables.items():
        for service in tables.get("ServiceConfigurations", ()):
            offered_in = {region, *(r["Region"] for r in service.get("SupportedRegions", ()))}
            here = region in regions and where.region in offered_in
            if here and _admits(tables.get("ServicePermissions", ()), service, owner, where):
                rows.append(_details(world, service, owner, region, where))
    return sorted(rows, key=lambda row: str(row["ServiceName"]))


def _admits(permissions: object, service: Row, owner: str, where: Where) -> bool:
    assert isinstance(permissions, list | tuple)
    principals = {p["Principal"] for p in permissions if p["ServiceId"] == service["ServiceId"]}
    admitted = {"*", f"arn:aws:iam::{where.account}:root"} & principals
    return service["ServiceState"] == "Available" and (owner == where.account or bool(admitted))


def _details(world: World, service: Row, owner: str, region: str, where: Where) -> Row:
    """Return a configuration as its consumers see it: zones by the names they have there."""
    zones = world.tables.get((where.account, region), {}).get("AvailabilityZones", [])
    names = {zone["ZoneId"]: zone["ZoneName"] for zone in zones}
    private: Row = {}
    if "PrivateDnsName" in service:
        private = {
            "PrivateDnsName": service["PrivateDnsName"],
            "PrivateDnsNames": [{"PrivateDnsName": service["PrivateDnsName"]}],
            "PrivateDnsNameVerificationState": service["PrivateDnsNameConfiguration"]["State"],
        }
    return {
        "ServiceName": service["ServiceName"],
        "ServiceId": service["ServiceId"],
        "ServiceType": service["ServiceType"],
        "ServiceRegion": region,
        "AvailabilityZoneIds": service["AvailabilityZoneIds"],
        "AvailabilityZones": sorted(names.get(i, i) for i in service["AvailabilityZoneIds"]),
        "Owner": owner,
        "BaseEndpointDnsNames": service["BaseEndpointDnsNames"],
        "VpcEndpointPolicySupported": False,
        "AcceptanceRequired": service["AcceptanceRequired"],
        "ManagesVpcEndpoints": service["ManagesVpcEndpoints"],
        "SupportedIpAddressTypes": service["SupportedIpAddressTypes"],
        "Tags": service.get("Tags", []),
        **private,
    }
