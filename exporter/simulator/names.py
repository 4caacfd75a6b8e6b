"""The names of endpoints, and what they lead to: in the public view, and in that of the VPC.

https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html
"""

from __future__ import annotations

from exporter.simulator.state import PUBLIC, Row, World

HOSTED_ZONE = "Z38GZ743OKFT7T"
# States in which an endpoint's names are in DNS.
NAMED = ("available", "partial")
_AWS = ".amazonaws.com"


def addresses_of(interface: Row) -> list[str]:
    """Return an interface's addresses, v4 before v6."""
    return [
        *(a["PrivateIpAddress"] for a in interface["PrivateIpAddresses"]),
        *(a["Ipv6Address"] for a in interface["Ipv6Addresses"]),
    ]


def private_names_work(vpc: Row) -> bool:
    """Whether a VPC's attributes let endpoints have private names."""
    attributes = vpc["Attributes"]
    return bool(attributes["EnableDnsSupport"] and attributes["EnableDnsHostnames"])


def name(world: World, endpoint: Row) -> None:
    """Name an endpoint anew, after its interfaces, its private DNS and its VPC are now.

    Those of Resource and ServiceNetwork endpoints come with their associations.
    """
    if endpoint["VpcEndpointType"] != "Interface":
        return
    interfaces = [
        world.row("NetworkInterfaces", "NetworkInterfaceId", i)
        for i in endpoint["NetworkInterfaceIds"]
    ]
    own = _own(endpoint, interfaces)
    private = endpoint.get("PrivateName")
    withdraw(world, endpoint)
    endpoint["Names"] = {PUBLIC: own, **_private(world, endpoint, own)}
    told = [*own, *([private] if private and endpoint["PrivateDnsEnabled"] else [])]
    # In place: the provider's side of the connection has the same list.
    endpoint["DnsEntries"][:] = [{"DnsName": n, "HostedZoneId": HOSTED_ZONE} for n in told]
    if endpoint["State"] in NAMED:
        publish(world, endpoint)


def publish(world: World, endpoint: Row) -> None:
    """Put an endpoint's names into DNS, or take them out, as its state has it."""
    if endpoint["State"].lower() in ("pendingacceptance", "rejected"):
        withdraw(world, endpoint)
        return
    names: dict[str, dict[str, list[str]]] = endpoint.get("Names", {})
    for view, answers in names.items():
        world.names.setdefault(view, {}).update(answers)


def withdraw(world: World, endpoint: Row) -> None:
    """Take an endpoint's names out of DNS."""
    for view, answers in endpoint.get("Names", {}).items():
        known = world.names.get(view, {})
        for one, answer in answers.items():
            # Another one may have the private name by now.
            if known.get(one) == answer:
                del known[one]


def _own(endpoint: Row, interfaces: list[Row]) -> dict[str, list[str]]:
    """Return the regional name, then the zonal ones; they are in the service's Region."""
    start = f"{endpoint['VpcEndpointId']}-{endpoint['Suffix']}"
    short = endpoint.get("ServiceName", "").rsplit(".", 1)[-1]
    domain = f"{short}.{endpoint['ServiceRegion']}.vpce.amazonaws.com"
    found = {f"{start}.{domain}": [a for i in interfaces for a in addresses_of(i)]}
    for interface in interfaces:
        found[f"{start}-{interface['AvailabilityZone']}.{domain}"] = addresses_of(interface)
    return found


def _private(
    world: World, endpoint: Row, own: dict[str, list[str]]
) -> dict[str, dict[str, list[str]]]:
    """Return the private name in the view of the VPC, if there is to be one."""
    private, elsewhere = endpoint.get("PrivateName"), endpoint.get("ResolvesTo")
    if not private:
        return {}
    if elsewhere:
        return {endpoint["VpcId"]: {private: elsewhere}}
    vpc = world.row("Vpcs", "VpcId", endpoint["VpcId"])
    if not (endpoint["PrivateDnsEnabled"] and private_names_work(vpc)):
        return {}
    regional = next(iter(own))
    # A provider's private name is an alias of the regional one.
    answer = own[regional] if private.endswith(_AWS) else [f"CNAME {regional}"]
    return {endpoint["VpcId"]: {private: answer}}
