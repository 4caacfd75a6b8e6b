"""What belongs to an endpoint or a service, by id: from either side, in one step.

What was last known will do here: a change explains what it touched, however long ago that was seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from exporter.model import (
    Endpoint,
    EndpointService,
    Interface,
    Inventory,
    Part,
    last_known,
    target_groups_of,
)

T = TypeVar("T")


class Related:
    """The ids around the endpoints and services of an inventory; made once for all of them.

    An endpoint or service has ids of its own; behind some of these are others: behind a subnet the
    network ACL and the route table that judge it, behind a group those that its rules name.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        # Of a service everything is the same for all its consumers.
        self._of_services: dict[str, frozenset[str]] = {}

    def of_endpoint(self, endpoint: Endpoint) -> frozenset[str]:
        """Return the ids that concern an endpoint."""
        return self._with_behind(self._of_endpoint(endpoint))

    def of_service(self, service: EndpointService) -> frozenset[str]:
        """Return the ids that concern a service."""
        found = self._of_services.get(service.id)
        if found is None:
            found = self._of_services[service.id] = self._with_behind(self._of_service(service))
        return found

    def touched_by(self, ids: Iterable[str]) -> Mapping[str, list[str]]:
        """Return the endpoints and services, by id, that some of these ids concern: and which."""
        found: dict[str, list[str]] = {}
        owners, before = self._owners, self._before
        for name in ids:
            concerned: set[str] = set(owners.get(name, ()))
            for own in before.get(name, ()):
                concerned.update(owners.get(own, ()))
            for subject in concerned:
                found.setdefault(subject, []).append(name)
        return found

    def _with_behind(self, own: Iterable[str]) -> frozenset[str]:
        found = set(own)
        behind = self._behind
        for name in tuple(found):
            found.update(behind.get(name, ()))
        found.discard("")
        return frozenset(found)

    def _of_endpoint(self, endpoint: Endpoint) -> Iterator[str]:
        yield endpoint.id
        yield endpoint.vpc_id
        yield from endpoint.interface_ids
        yield from endpoint.subnet_ids
        yield from endpoint.security_group_ids
        yield from endpoint.route_table_ids
        yield from self._service_names(endpoint.service_name)
        yield from (name.name.lower() for name in endpoint.dns_names if name.kind == "private")

    def _service_names(self, name: str) -> Iterator[str]:
        if name:
            yield name
            last = name.rpartition(".")[2]
            if last.startswith("vpce-svc-"):
                yield last

    def _of_service(self, service: EndpointService) -> Iterator[str]:
        inventory = self._inventory
        yield service.id
        yield service.service_name
        if service.private_dns:
            name, record = service.private_dns.name, service.private_dns.record_name
            yield name.lower()
            yield (record if record.endswith(name) else f"{record}.{name}").lower()
        yield from self._endpoints_of.get(service.id, ())
        balancers = last_known(inventory.load_balancers) or {}
        for arn in service.load_balancer_arns:
            yield arn
            yield from (listener.id for listener in _seen(inventory.listeners.get(arn)))
            if arn in balancers:
                yield from balancers[arn].security_group_ids
                yield from (zone.subnet_id for zone in balancers[arn].zones)
        for group in target_groups_of(service, inventory):
            yield group.id
            for target in _seen(inventory.target_health.get(group.id)):
                for interface in self._interfaces.get((group.vpc_id, target.id), ()):
                    yield interface.id
                    yield interface.instance_id
                    yield interface.subnet_id
                    yield from interface.security_group_ids

    @cached_property
    def _endpoints_of(self) -> Mapping[str, list[str]]:
        """The consumers' endpoints of each service."""
        found: dict[str, list[str]] = {}
        for connection in (last_known(self._inventory.connections) or {}).values():
            found.setdefault(connection.service_id, []).append(connection.endpoint_id)
        return found

    @cached_property
    def _interfaces(self) -> Mapping[tuple[str, str], list[Interface]]:
        """The interfaces at an address or of an instance, in a VPC."""
        found: dict[tuple[str, str], list[Interface]] = {}
        for interface in (last_known(self._inventory.interfaces) or {}).values():
            names = [str(address) for address in interface.addresses]
            for name in filter(None, (*names, interface.instance_id)):
                found.setdefault((interface.vpc_id, name), []).append(interface)
        return found

    @cached_property
    def _behind(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {}
        inventory = self._inventory

        def put(name: str, *others: str | None) -> None:
            found.setdefault(name, set()).update(filter(None, others))

        for rule in (last_known(inventory.security_group_rules) or {}).values():
            put(rule.group_id, rule.id, rule.referenced_group_id, rule.prefix_list_id)
        for flow_log in (last_known(inventory.flow_logs) or {}).values():
            put(flow_log.resource_id, flow_log.id)
        acls = (last_known(inventory.network_acls) or {}).values()
        tables = (last_known(inventory.route_tables) or {}).values()
        judges = {subnet_id: acl.id for acl in acls for subnet_id in acl.subnet_ids}
        routes = {subnet_id: table.id for table in tables for subnet_id in table.subnet_ids}
        default = {acl.vpc_id: acl.id for acl in acls if acl.default}
        main = {table.vpc_id: table.id for table in tables if table.main}
        for subnet in (last_known(inventory.subnets) or {}).values():
            put(
                subnet.id,
                judges.get(subnet.id) or default.get(subnet.vpc_id),
                routes.get(subnet.id) or main.get(subnet.vpc_id),
            )
        return found

    @cached_property
    def _before(self) -> Mapping[str, list[str]]:
        """What each id is behind."""
        found: dict[str, list[str]] = {}
        for name, others in self._behind.items():
            for other in others:
                found.setdefault(other, []).append(name)
        return found

    @cached_property
    def _owners(self) -> Mapping[str, list[str]]:
        """The endpoints and services whose own each id is."""
        found: dict[str, list[str]] = {}
        for endpoint in (last_known(self._inventory.endpoints) or {}).values():
            for name in set(self._of_endpoint(endpoint)):
                found.setdefault(name, []).append(endpoint.id)
        for service in (last_known(self._inventory.services) or {}).values():
            for name in set(self._of_service(service)):
                found.setdefault(name, []).append(service.id)
        found.pop("", None)
        return found


def _seen(part: Part[tuple[T, ...]] | None) -> tuple[T, ...]:
    return (last_known(part) if part is not None else None) or ()
