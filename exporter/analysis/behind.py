"""What stands behind the endpoint services of one account and Region, to be found in one step.

Whatever is asked for and could not be seen raises Unseen: no check can take it for absence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from exporter.analysis.judged import Unseen, need
from exporter.model import (
    Connection,
    EndpointService,
    Interface,
    Inventory,
    Listener,
    Listing,
    LoadBalancer,
    Target,
    TargetGroup,
)

# The name of the attribute of a load balancer, and of a target group that says otherwise.
CROSS_ZONE = "load_balancing.cross_zone.enabled"


class Behind:
    """The provider's half of an inventory, indexed; made once for all checks."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory

    def connections(self, service: EndpointService) -> tuple[Connection, ...]:
        """Return the connections to a service, by endpoint; raises Unseen."""
        self._listed("connections", [service.id])
        return tuple(self._connections.get(service.id, ()))

    def balancers(self, service: EndpointService) -> tuple[LoadBalancer, ...]:
        """Return the load balancers of a service; raises Unseen."""
        if not service.load_balancer_arns:
            return ()
        self._listed("load_balancers", service.load_balancer_arns)
        known = need(self.inventory.load_balancers, "load balancers")
        for arn in service.load_balancer_arns:
            if arn not in known:
                raise Unseen(f"load balancer {arn}: it was not listed")
        return tuple(known[arn] for arn in service.load_balancer_arns)

    def listeners(self, balancer: LoadBalancer) -> tuple[Listener, ...]:
        """Return the listeners of a load balancer; raises Unseen."""
        what = f"listeners of load balancer {balancer.name}"
        return need(self.inventory.listeners.get(balancer.id), what)

    def groups(self, listener: Listener) -> tuple[TargetGroup, ...]:
        """Return the target groups that a listener forwards to; raises Unseen."""
        known = need(self.inventory.target_groups, "target groups")
        for arn in listener.target_group_arns:
            if arn not in known:
                raise Unseen(f"target group {arn}: it was not listed")
        return tuple(known[arn] for arn in listener.target_group_arns)

    def targets(self, group: TargetGroup) -> tuple[Target, ...]:
        """Return the targets of a group with their health; raises Unseen."""
        what = f"target health of group {group.name}"
        return need(self.inventory.target_health.get(group.id), what)

    def cross_zone(self, balancer: LoadBalancer, group: TargetGroup) -> bool:
        """Return whether targets are asked from every zone: the group's word, else the balancer's.

        Raises Unseen.
        https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
        """
        inventory = self.inventory
        what = f"attributes of target group {group.name}"
        own = need(inventory.target_group_attributes.get(group.id), what).get(CROSS_ZONE, "")
        if own in ("true", "false"):
            return own == "true"
        what = f"attributes of load balancer {balancer.name}"
        attributes = need(inventory.load_balancer_attributes.get(balancer.id), what)
        return attributes.get(CROSS_ZONE, "false") == "true"

    def interfaces(self, balancer: LoadBalancer) -> tuple[Interface, ...]:
        """Return the interfaces that AWS made for a load balancer; raises Unseen.

        Their description is `ELB` and the end of the load balancer's ARN: `ELB net/NAME/ID`.
        """
        self._listed("interfaces", [balancer.vpc_id])
        _, _, end = balancer.id.partition(":loadbalancer/")
        return tuple(self._described.get((balancer.vpc_id, f"ELB {end}"), ()))

    def instance(self, vpc_id: str, instance_id: str) -> tuple[Interface, ...]:
        """Return the interfaces that an instance has in a VPC; raises Unseen."""
        self._listed("interfaces", [vpc_id])
        return tuple(self._instances.get((vpc_id, instance_id), ()))

    def _listed(self, name: str, ids: Iterable[str]) -> None:
        part: Listing[Any] = getattr(self.inventory, name)
        words = name.replace("_", " ")
        need(part, words)
        if not self.inventory.covers(name, ids):
            raise Unseen(f"{words}: not listed since this is there")

    @cached_property
    def _connections(self) -> Mapping[str, list[Connection]]:
        found: dict[str, list[Connection]] = {}
        known = need(self.inventory.connections, "connections").values()
        for connection in sorted(known, key=lambda c: (c.endpoint_id, c.id)):
            found.setdefault(connection.service_id, []).append(connection)
        return found

    @cached_property
    def _described(self) -> Mapping[tuple[str, str], list[Interface]]:
        found: dict[tuple[str, str], list[Interface]] = {}
        for interface in need(self.inventory.interfaces, "interfaces").values():
            if interface.description.startswith("ELB "):
                found.setdefault((interface.vpc_id, interface.description), []).append(interface)
        return found

    @cached_property
    def _instances(self) -> Mapping[tuple[str, str], list[Interface]]:
        found: dict[tuple[str, str], list[Interface]] = {}
        for interface in need(self.inventory.interfaces, "interfaces").values():
            if interface.instance_id:
                found.setdefault((interface.vpc_id, interface.instance_id), []).append(interface)
        return found
