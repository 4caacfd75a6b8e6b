"""Is the endpoint in zones that its service is in?

Zones are compared by their ids: a zone's name means another zone in each account.
https://docs.aws.amazon.com/vpc/latest/privatelink/create-endpoint-service.html
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.analysis.case import EndpointCase
from exporter.analysis.fixes import by_its_maker, ec2
from exporter.analysis.judged import Judged, Unseen, failed, need, not_applicable, passed, warned
from exporter.model import Interface, Known, Subnet


def judge(case: EndpointCase) -> Judged:
    """Judge the zones of its interfaces by those that the service offers."""
    need(case.site.inventory.endpoints, "endpoints")
    endpoint = case.endpoint
    if endpoint.service_region not in ("", case.scope.region):
        return not_applicable(
            f"The service is in {endpoint.service_region}: across Regions zones are not compared."
        )
    if endpoint.type in ("Resource", "ServiceNetwork"):
        return not_applicable(f"What the type {endpoint.type} leads to is offered in no zones.")
    if not endpoint.interface_ids:
        return not_applicable("The endpoint has no interfaces.")
    offered = _offered(case)
    if not offered:
        return not_applicable(
            f"AWS tells no zones of {endpoint.service_name} here: those of the endpoint were not "
            "judged."
        )
    zones = {i.id: _zone(case, i) for i in case.interfaces}
    outside = [i for i in case.interfaces if zones[i.id] not in offered]
    mine = _named(case, set(zones.values()))
    evidence = [
        f"interfaces: {mine}",
        f"{endpoint.service_name}: {_named(case, offered)}",
    ]
    if not outside:
        return passed(
            f"The service is in every zone that the endpoint is in: {mine}.",
            [endpoint.id],
            evidence,
        )
    if len(outside) == len(case.interfaces):
        return failed(
            f"The endpoint is in {mine} only, the service in "
            f"{_named(case, offered)}: they have no zone in common.",
            [endpoint.id, *(i.id for i in outside)],
            evidence,
            _move(case, offered, outside),
        )
    gone = _named(case, {zones[i.id] for i in outside})
    return warned(
        f"The service is not in {gone}, where {', '.join(i.id for i in outside)} of the endpoint "
        "is: the other zones carry everything.",
        [*(i.id for i in outside), endpoint.id],
        evidence,
        _change(case, [], outside),
    )


def _offered(case: EndpointCase) -> frozenset[str]:
    """The zones of the service, by its own account where that is watched."""
    provider = case.provider
    if (
        provider
        and isinstance(provider.site.inventory.services, Known)
        and provider.service.zone_ids
    ):
        return frozenset(provider.service.zone_ids)
    detail = case.around.service(case.endpoint.service_name, case.endpoint.type)
    return frozenset(detail.zone_ids if detail else ())


def _zone(case: EndpointCase, interface: Interface) -> str:
    """The id of the zone that an interface is in, else of its subnet's; raises Unseen."""
    found = interface.zone_id or case.around.subnet(interface.subnet_id).zone_id
    if not found:
        raise Unseen(f"the zone of {interface.id}: AWS does not tell its id")
    return found


def _named(case: EndpointCase, zone_ids: Iterable[str]) -> str:
    """Return zones by their ids, with the names that this account has for them."""
    here = case.around.zone_names
    return ", ".join(f"{i} ({here[i]} here)" if here.get(i) else i for i in sorted(zone_ids))


def _move(case: EndpointCase, offered: frozenset[str], outside: list[Interface]) -> str:
    """Return the command that moves the endpoint to zones of the service."""
    here = case.endpoint
    managed = by_its_maker(here)
    if managed:
        return managed
    subnets: dict[str, Subnet] = {}
    for subnet in sorted(case.around.subnets(here.vpc_id), key=lambda s: s.id):
        if subnet.zone_id in offered and _families(here.ip_address_type) <= {
            cidr.version for cidr in subnet.cidrs
        }:
            subnets.setdefault(subnet.zone_id, subnet)
    command = _change(case, list(subnets.values()), outside)
    if subnets and command:
        return (
            f"{command}\nAny other subnet of {', '.join(sorted(subnets))} will do as well; the "
            "addresses of the endpoint change."
        )
    return (
        f"Create a subnet of {here.vpc_id} in {_named(case, offered)}, then add it to {here.id} in "
        "the VPC console: Endpoints, Actions, Manage subnets."
    )


def _change(case: EndpointCase, add: list[Subnet], remove: list[Interface]) -> str | None:
    managed = by_its_maker(case.endpoint)
    if managed:
        return managed
    ids = {"--add-subnet-ids": [s.id for s in add], "--remove-subnet-ids": _subnets(remove)}
    words = [word for flag, found in ids.items() if found for word in (flag, *found)]
    return ec2(
        case.scope.region,
        "modify-vpc-endpoint",
        "--vpc-endpoint-id",
        case.endpoint.id,
        *words,
        ids=[case.endpoint.id, *(i for found in ids.values() for i in found)],
    )


def _subnets(interfaces: Iterable[Interface]) -> list[str]:
    return sorted({interface.subnet_id for interface in interfaces})


def _families(ip_address_type: str) -> set[int]:
    return {"ipv6": {6}, "dualstack": {4, 6}}.get(ip_address_type, {4})
