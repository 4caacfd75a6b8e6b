"""What surrounds the packets of one account and Region, to be found by id in one step.

Whatever is asked for and could not be seen raises Unseen: no check can take it for absence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from exporter.analysis.behind import Behind
from exporter.analysis.judged import Unseen, need
from exporter.analysis.related import Related
from exporter.model import (
    Address,
    Endpoint,
    EndpointAssociation,
    Interface,
    Inventory,
    Network,
    NetworkAcl,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    ServiceDetail,
    Subnet,
    Vpc,
    VpcAttributes,
    Zones,
    last_known,
)


class Around:
    """An inventory, indexed; made once for all checks."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        # What was made or decided already, by question: endpoints share rules and clients.
        self.memo: dict[Any, Any] = {}

    def rules(self, group_ids: Iterable[str]) -> tuple[SecurityGroupRule, ...]:
        """Return the rules of these security groups, both directions; raises Unseen."""
        wanted = tuple(group_ids)
        by_group = self._rules
        for group_id in wanted:
            if group_id not in by_group and group_id not in self._groups:
                raise Unseen(f"security group {group_id}: it was not listed")
        self._covers("security_group_rules", wanted)
        return tuple(rule for group_id in wanted for rule in by_group.get(group_id, ()))

    def group(self, group_id: str) -> SecurityGroup | None:
        """Return a security group, last known; None when it was never listed."""
        return (last_known(self.inventory.security_groups) or {}).get(group_id)

    def owner(self, group_id: str, of: Interface | None = None) -> str:
        """Return whose a security group is: as listed, else whose the interface is that has it.

        In a shared VPC each account has groups of its own. Where nothing tells it is this one's.
        """
        group = self.group(group_id)
        told = (
            group.owner if group else of.owner if of and group_id in of.security_group_ids else ""
        )
        return told or self.inventory.scope.account

    def vpc_owner(self, vpc_id: str) -> str:
        """Return whose a VPC is, and with it its network ACLs; this account's where not listed."""
        vpc = (last_known(self.inventory.vpcs) or {}).get(vpc_id)
        return (vpc.owner if vpc else "") or self.inventory.scope.account

    def acl(self, subnet_id: str) -> NetworkAcl:
        """Return the network ACL that judges a subnet: its own, else its VPC's default one."""
        subnet = self.subnet(subnet_id)
        self._covers("network_acls", (subnet.vpc_id,))
        own, default = self._acls
        found = own.get(subnet_id) or default.get(subnet.vpc_id)
        if found is None:
            raise Unseen(f"network ACL of {subnet_id}: none was listed")
        return found

    def table(self, subnet_id: str) -> RouteTable:
        """Return the route table that routes a subnet: its own, else its VPC's main one."""
        subnet = self.subnet(subnet_id)
        self._covers("route_tables", (subnet.vpc_id,))
        own, main, _ = self._tables
        found = own.get(subnet_id) or main.get(subnet.vpc_id)
        if found is None:
            raise Unseen(f"route table of {subnet_id}: none was listed")
        return found

    def tables(self, vpc_id: str) -> tuple[RouteTable, ...]:
        """Return all route tables of a VPC; raises Unseen."""
        self._covers("route_tables", (vpc_id,))
        return tuple(self._tables[2].get(vpc_id, ()))

    def subnet(self, subnet_id: str) -> Subnet:
        """Return a subnet; raises Unseen, when it was not listed too."""
        found = need(self.inventory.subnets, "subnets").get(subnet_id)
        if found is None:
            raise Unseen(f"subnet {subnet_id}: it was not listed")
        return found

    def subnets(self, vpc_id: str) -> tuple[Subnet, ...]:
        """Return the subnets of a VPC; raises Unseen."""
        return tuple(self._subnets.get(vpc_id, ()))

    def subnet_at(self, vpc_id: str, address: Address) -> Subnet | None:
        """Return the subnet of a VPC that an address is in; None in none. Raises Unseen."""
        return next((s for s in self.subnets(vpc_id) if any(address in c for c in s.cidrs)), None)

    def interface(self, interface_id: str) -> Interface:
        """Return an interface; raises Unseen, when it was not listed too."""
        found = need(self.inventory.interfaces, "interfaces").get(interface_id)
        if found is None:
            raise Unseen(f"interface {interface_id}: it was not listed")
        return found

    def interfaces(self, vpc_id: str) -> tuple[Interface, ...]:
        """Return the interfaces of a VPC; raises Unseen."""
        self._covers("interfaces", (vpc_id,))
        return tuple(self._interfaces[0].get(vpc_id, ()))

    def interface_at(self, vpc_id: str, address: Address) -> Interface | None:
        """Return the interface of a VPC that has an address; None where none has. Raises Unseen."""
        self._covers("interfaces", (vpc_id,))
        return self._interfaces[1].get((vpc_id, address))

    def vpc(self, vpc_id: str) -> Vpc:
        """Return a VPC; raises Unseen, when it was not listed too."""
        found = need(self.inventory.vpcs, "VPCs").get(vpc_id)
        if found is None:
            raise Unseen(f"VPC {vpc_id}: it was not listed")
        return found

    def vpc_attributes(self, vpc_id: str) -> VpcAttributes:
        """Return the DNS attributes of a VPC; raises Unseen."""
        return need(self.inventory.vpc_attributes.get(vpc_id), f"DNS attributes of {vpc_id}")

    def prefix_list(self, prefix_list_id: str) -> tuple[Network, ...]:
        """Return the entries of a prefix list; raises Unseen."""
        return need(
            self.inventory.prefix_list_entries.get(prefix_list_id),
            f"entries of prefix list {prefix_list_id}",
        )

    def endpoints(self, vpc_id: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of a VPC, of every type and state; raises Unseen."""
        return tuple(self._endpoints.get(vpc_id, ()))

    def serving(self, vpc_id: str, service_name: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of a VPC for a service, of every type and state; raises Unseen."""
        return self._serving.get((vpc_id, service_name), ())

    def associations(self, endpoint_id: str) -> tuple[EndpointAssociation, ...]:
        """Return what a Resource or ServiceNetwork endpoint reaches; raises Unseen."""
        return tuple(self._associations.get(endpoint_id, ()))

    def service(self, service_name: str, endpoint_type: str) -> ServiceDetail | None:
        """Return what consumers see of a service; None where AWS lists none. Raises Unseen."""
        self._covers("service_details", (service_name,))
        found = self._services.get(service_name, ())
        return next((d for d in found if endpoint_type in d.types or not d.types), None)

    @cached_property
    def related(self) -> Related:
        """What belongs to which endpoint and service, as last known."""
        return Related(self.inventory)

    @cached_property
    def behind(self) -> Behind:
        """What stands behind its endpoint services."""
        return Behind(self.inventory)

    @cached_property
    def zones(self) -> Zones:
        """In which zones targets and load balancers are."""
        return Zones(self.inventory)

    def _covers(self, name: str, ids: Iterable[str]) -> None:
        part = getattr(self.inventory, name)
        need(part, name.replace("_", " "))
        if not self.inventory.covers(name, ids):
            raise Unseen(f"{name.replace('_', ' ')}: not listed since this is there")

    @cached_property
    def zone_names(self) -> Mapping[str, str]:
        """What this account calls the zones it has subnets in, by their ids; as last listed."""
        subnets = (last_known(self.inventory.subnets) or {}).values()
        return {subnet.zone_id: subnet.zone for subnet in subnets}

    @cached_property
    def _rules(self) -> Mapping[str, list[SecurityGroupRule]]:
        found: dict[str, list[SecurityGroupRule]] = {}
        rules = need(self.inventory.security_group_rules, "security group rules")
        for rule in sorted(rules.values(), key=lambda rule: rule.id):
            found.setdefault(rule.group_id, []).append(rule)
        return found

    @cached_property
    def _groups(self) -> Mapping[str, SecurityGroup]:
        return need(self.inventory.security_groups, "security groups")

    @cached_property
    def _acls(self) -> tuple[Mapping[str, NetworkAcl], Mapping[str, NetworkAcl]]:
        acls = need(self.inventory.network_acls, "network ACLs").values()
        own = {subnet_id: acl for acl in acls for subnet_id in acl.subnet_ids}
        return own, {acl.vpc_id: acl for acl in acls if acl.default}

    @cached_property
    def _tables(
        self,
    ) -> tuple[Mapping[str, RouteTable], Mapping[str, RouteTable], Mapping[str, list[RouteTable]]]:
        tables = need(self.inventory.route_tables, "route tables").values()
        own = {subnet_id: table for table in tables for subnet_id in table.subnet_ids}
        by_vpc: dict[str, list[RouteTable]] = {}
        for table in tables:
            by_vpc.setdefault(table.vpc_id, []).append(table)
        return own, {table.vpc_id: table for table in tables if table.main}, by_vpc

    @cached_property
    def _subnets(self) -> Mapping[str, list[Subnet]]:
        found: dict[str, list[Subnet]] = {}
        for subnet in need(self.inventory.subnets, "subnets").values():
            found.setdefault(subnet.vpc_id, []).append(subnet)
        return found

    @cached_property
    def _interfaces(
        self,
    ) -> tuple[Mapping[str, list[Interface]], Mapping[tuple[str, Address], Interface]]:
        in_vpc: dict[str, list[Interface]] = {}
        at: dict[tuple[str, Address], Interface] = {}
        for interface in need(self.inventory.interfaces, "interfaces").values():
            in_vpc.setdefault(interface.vpc_id, []).append(interface)
            for address in interface.addresses:
                at[interface.vpc_id, address] = interface
        return in_vpc, at

    @cached_property
    def _endpoints(self) -> Mapping[str, list[Endpoint]]:
        found: dict[str, list[Endpoint]] = {}
        for endpoint in need(self.inventory.endpoints, "endpoints").values():
            found.setdefault(endpoint.vpc_id, []).append(endpoint)
        return found

    @cached_property
    def _serving(self) -> Mapping[tuple[str, str], tuple[Endpoint, ...]]:
        found: dict[tuple[str, str], list[Endpoint]] = {}
        for of_vpc in self._endpoints.values():
            for endpoint in of_vpc:
                found.setdefault((endpoint.vpc_id, endpoint.service_name), []).append(endpoint)
        return {key: tuple(endpoints) for key, endpoints in found.items()}

    @cached_property
    def _associations(self) -> Mapping[str, list[EndpointAssociation]]:
        found: dict[str, list[EndpointAssociation]] = {}
        for one in need(self.inventory.endpoint_associations, "endpoint associations").values():
            found.setdefault(one.endpoint_id, []).append(one)
        return found

    @cached_property
    def _services(self) -> Mapping[str, list[ServiceDetail]]:
        found: dict[str, list[ServiceDetail]] = {}
        for detail in need(self.inventory.service_details, "services").values():
            found.setdefault(detail.service_name, []).append(detail)
        return found
