"""AWS's own services, as each account and Region may use them."""

from __future__ import annotations

import zlib

from exporter.simulator.state import Row, World

_GATEWAYS = ("s3", "dynamodb")
_INTERFACES = (
    "ec2",
    "execute-api",
    "kms",
    "lambda",
    "logs",
    "monitoring",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "sts",
)


def offer(world: World) -> None:
    """Put AWS's services beside each account's zones, and those that endpoints already use."""
    for (_, region), tables in world.tables.items():
        zones = tables.get("AvailabilityZones", [])
        prefix = f"com.amazonaws.{region}."
        used = {
            row["ServiceName"].removeprefix(prefix)
            for row in tables.get("VpcEndpoints", ())
            if row.get("ServiceName", "").startswith(prefix) and row["VpcEndpointType"] != "Gateway"
        }
        rows = [_row(name, region, zones, "Interface") for name in sorted({*_INTERFACES, *used})]
        rows += [_row(name, region, zones, "Gateway") for name in _GATEWAYS]
        tables["AwsServices"] = rows


def _row(name: str, region: str, zones: list[Row], kind: str) -> Row:
    # The same service has one id in a Region, whoever asks.
    number = zlib.crc32(f"{region} {name} {kind}".encode())
    private = f"{name}.{region}.amazonaws.com"
    names: Row = {
        "PrivateDnsName": private,
        "PrivateDnsNames": [{"PrivateDnsName": private}],
        "PrivateDnsNameVerificationState": "verified",
    }
    return {
        "ServiceName": f"com.amazonaws.{region}.{name}",
        "ServiceId": f"vpce-svc-{number:017x}",
        "ServiceType": [{"ServiceType": kind}],
        "ServiceRegion": region,
        "AvailabilityZoneIds": sorted(zone["ZoneId"] for zone in zones),
        "AvailabilityZones": sorted(zone["ZoneName"] for zone in zones),
        "Owner": "amazon",
        "BaseEndpointDnsNames": [f"{name}.{region}.vpce.amazonaws.com"],
        "VpcEndpointPolicySupported": True,
        "AcceptanceRequired": False,
        "ManagesVpcEndpoints": False,
        "SupportedIpAddressTypes": ["ipv4"],
        "Tags": [],
        **(names if kind == "Interface" else {}),
    }
