"""In which subnets an endpoint has interfaces, and which groups guard them.

https://docs.aws.amazon.com/vpc/latest/privatelink/interface-endpoints.html
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from ipaddress import ip_network

from exporter.simulator.changes.outcome import missing, one_of
from exporter.simulator.names import addresses_of
from exporter.simulator.offers import endpoint_services
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError

# AWS keeps the first four addresses of a subnet and the last.
_KEPT = 4


def check(world: World, where: Where, endpoint: Row, request: Row) -> None:
    """Raise AwsError where the subnets or groups cannot be added or removed."""
    _check_subnets(world, where, endpoint, request)
    groups = {g["GroupId"]: g for g in world.table("SecurityGroups", *where)}
    for name in request.get("AddSecurityGroupIds", ()):
        if name not in groups or groups[name]["VpcId"] != endpoint["VpcId"]:
            raise missing("InvalidGroup", name)
    left = {g["GroupId"] for g in endpoint["Groups"]} | {*request.get("AddSecurityGroupIds", ())}
    gone = {*request.get("RemoveSecurityGroupIds", ())}
    if not gone <= left:
        raise missing("InvalidGroup", min(gone - left))
    if gone and not left - gone:
        raise AwsError("InvalidParameter", "An endpoint needs at least one security group.")


def _check_subnets(world: World, where: Where, endpoint: Row, request: Row) -> None:
    subnets = {s["SubnetId"]: s for s in world.table("Subnets", *where)}
    add, remove = (request.get(f"{verb}SubnetIds", []) for verb in ("Add", "Remove"))
    for name in (*add, *remove):
        if name not in subnets or subnets[name]["VpcId"] != endpoint["VpcId"]:
            raise missing("InvalidSubnetId", name)
    if not {*remove} <= {*endpoint["SubnetIds"]}:
        raise AwsError("InvalidParameter", f"{remove} are not all subnets of the endpoint.")
    left = [name for name in endpoint["SubnetIds"] if name not in remove]
    zones = [subnets[name]["AvailabilityZoneId"] for name in (*left, *add)]
    offered = _zones(world, where, endpoint)
    for name in add:
        zone = subnets[name]["AvailabilityZoneId"]
        if zones.count(zone) > 1:
            raise AwsError(
                "DuplicateSubnetsInSameZone",
                f"Found another VPC endpoint subnet in the availability zone of {name}.",
            )
        if offered and zone not in offered:
            raise AwsError(
                "InvalidParameter",
                f"The VPC endpoint service {endpoint['ServiceName']} does not support the "
                f"availability zone of the subnet: {name}.",
            )


def _zones(world: World, where: Where, endpoint: Row) -> Sequence[str]:
    """Return the zones of the service by their ids; none where every zone will do."""
    region = endpoint.get("ServiceRegion")
    if region != where.region:
        return ()
    for row in endpoint_services(world, where, {})["ServiceDetails"]:
        if row["ServiceName"] == endpoint["ServiceName"]:
            found: Sequence[str] = row["AvailabilityZoneIds"]
            return found
    return ()


def apply(world: World, where: Where, endpoint: Row, request: Row) -> None:
    """Add and remove interfaces and groups."""
    interfaces = world.table("NetworkInterfaces", *where)
    own = [i for i in interfaces if i["NetworkInterfaceId"] in endpoint["NetworkInterfaceIds"]]
    names = {g["GroupId"]: g["GroupName"] for g in world.table("SecurityGroups", *where)}
    added, gone = (request.get(f"{verb}SecurityGroupIds", ()) for verb in ("Add", "Remove"))
    kept = [g for g in endpoint["Groups"] if g["GroupId"] not in gone]
    ids = [g["GroupId"] for g in kept]
    kept += [{"GroupId": g, "GroupName": names[g]} for g in added if g not in ids]
    endpoint["Groups"] = kept
    for name in request.get("AddSubnetIds", ()):
        subnet = one_of(world.table("Subnets", *where), "SubnetId", name, "InvalidSubnetId")
        row = _interface(interfaces, endpoint, own[0], subnet)
        interfaces.append(row)
        own.append(row)
        endpoint["SubnetIds"].append(name)
        endpoint["NetworkInterfaceIds"].append(row["NetworkInterfaceId"])
    for row in own:
        row["Groups"] = kept
    for name in request.get("RemoveSubnetIds", ()):
        endpoint["SubnetIds"].remove(name)
        for row in [r for r in own if r["SubnetId"] == name]:
            interfaces.remove(row)
            endpoint["NetworkInterfaceIds"].remove(row["NetworkInterfaceId"])


def _interface(interfaces: Sequence[Row], endpoint: Row, like: Row, subnet: Row) -> Row:
    """Return another interface of the endpoint's, in another subnet."""
    taken = {a for row in interfaces if row["VpcId"] == subnet["VpcId"] for a in addresses_of(row)}
    kind = endpoint["IpAddressType"]
    v4 = None if kind == "ipv6" else _free(subnet["CidrBlock"], taken)
    v6 = None
    if kind != "ipv4":
        v6 = _free(subnet["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"], taken)
    addresses = ("PrivateIpAddress", "PrivateIpAddresses", "Ipv6Addresses")
    return {
        **{key: value for key, value in like.items() if key not in addresses},
        "NetworkInterfaceId": f"eni-{uuid.uuid4().hex[:17]}",
        "SubnetId": subnet["SubnetId"],
        "AvailabilityZone": subnet["AvailabilityZone"],
        "AvailabilityZoneId": subnet["AvailabilityZoneId"],
        **({"PrivateIpAddress": v4} if v4 else {}),
        "PrivateIpAddresses": [{"PrivateIpAddress": v4, "Primary": True}] if v4 else [],
        "Ipv6Addresses": [{"Ipv6Address": v6, "IsPrimaryIpv6": False}] if v6 else [],
    }


def _free(block: str, taken: set[str]) -> str:
    """Return the first address of a block that nobody has; raises AwsError without one."""
    network = ip_network(block)
    for number in range(_KEPT, min(network.num_addresses, 2**16) - 1):
        if str(network[number]) not in taken:
            return str(network[number])
    raise AwsError("InsufficientFreeAddressesInSubnet", "The subnet has too few free addresses.")
