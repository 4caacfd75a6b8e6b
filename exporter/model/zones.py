"""In which zone a target is, by the zone's id: names mean different zones in each account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from exporter.model.inventory import Inventory
from exporter.model.network import Interface, Subnet
from exporter.model.part import last_known
from exporter.model.service import EndpointService, LoadBalancer, Target, TargetGroup

UNKNOWN = "unknown"


class Zones:
    """The zones of one account and Region, by what was last listed of it."""

    def __init__(self, inventory: Inventory) -> None:
        self._subnets: Mapping[str, Subnet] = last_known(inventory.subnets) or {}
        self._id_of = {s.zone: s.zone_id for s in self._subnets.values() if s.zone_id}
        interfaces: Iterable[Interface] = (last_known(inventory.interfaces) or {}).values()
        self._of_instance: dict[str, set[str]] = {}
        self._of_address: dict[tuple[str, str], str] = {}
        for interface in interfaces:
            if interface.instance_id:
                self._of_instance.setdefault(interface.instance_id, set()).add(interface.zone_id)
            for address in interface.addresses:
                self._of_address[interface.vpc_id, str(address)] = interface.zone_id

    def of_load_balancer(self, load_balancer: LoadBalancer) -> tuple[str, ...]:
        """Return the ids of the zones that a load balancer is in."""
        found = set()
        for zone in load_balancer.zones:
            subnet = self._subnets.get(zone.subnet_id)
            found.add((subnet and subnet.zone_id) or self._id_of.get(zone.zone, UNKNOWN))
        return tuple(sorted(found))

    def of_target(self, target: Target, group: TargetGroup) -> str:
        """Return the id of the zone that a target is in; `unknown` where nothing tells.

        AWS says the zone of a target that was registered with one, otherwise it is the zone of the
        instance or of the subnet that has the address.
        https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetDescription.html
        """
        if target.zone and target.zone != "all":
            return self._id_of.get(target.zone, UNKNOWN)
        if group.target_type == "instance":
            zones = self._of_instance.get(target.id, set())
            return next(iter(zones)) if len(zones) == 1 else UNKNOWN
        if group.target_type != "ip":
            return UNKNOWN
        try:
            address = ip_address(target.id)
        except ValueError:
            return UNKNOWN
        by_interface = self._of_address.get((group.vpc_id, target.id))
        return by_interface or next(
            (
                subnet.zone_id
                for subnet in self._subnets.values()
                if subnet.vpc_id == group.vpc_id and any(address in c for c in subnet.cidrs)
            ),
            UNKNOWN,
        )


def in_every_zone(target: Target, group: TargetGroup) -> bool:
    """Whether a target is asked from every zone of the load balancer, as AWS says or by its kind.

    An Application Load Balancer is one target with no zone of its own.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/application-load-balancer-target.html
    """
    return target.zone == "all" or (group.target_type == "alb" and not target.zone)


def target_groups_of(service: EndpointService, inventory: Inventory) -> tuple[TargetGroup, ...]:
    """Return the target groups behind a service's load balancers, as last listed."""
    groups = (last_known(inventory.target_groups) or {}).values()
    arns = set(service.load_balancer_arns)
    return tuple(group for group in groups if not arns.isdisjoint(group.load_balancer_arns))
