"""What one account and Region holds, as far as it could be seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from exporter.model.endpoint import Endpoint, EndpointAssociation, ServiceDetail
from exporter.model.flow_log import FlowLog
from exporter.model.network import (
    Interface,
    Network,
    NetworkAcl,
    PrefixList,
    RouteTable,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
    VpcAttributes,
)
from exporter.model.part import Details, Known, Listing, Part, Scope, Unavailable, settle
from exporter.model.service import (
    Connection,
    EndpointService,
    Listener,
    LoadBalancer,
    Principal,
    Target,
    TargetGroup,
)

# What changes by itself and is asked for at every pass. The rest is what people configure.
STATES = frozenset(
    ["endpoints", "services", "connections", "interfaces", "flow_logs", "target_health"]
)


def _not_listed() -> Unavailable[Any]:
    return Unavailable("not listed yet")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one account and Region holds; each part is known or says why not.

    A `Listing` has what one paged call lists, by id; `Details` have what takes a call for each VPC,
    prefix list, service, load balancer or target group, by its id. Interfaces, security groups,
    network ACLs and route tables are those of the VPCs that hold endpoints or the load balancers
    of endpoint services; subnets are all of them.
    """

    scope: Scope
    # By listing: the ids that it was kept to when it was last seen: see `covers`.
    kept_to: Mapping[str, frozenset[str]] = field(default_factory=dict)
    endpoints: Listing[Endpoint] = field(default_factory=_not_listed)
    endpoint_associations: Listing[EndpointAssociation] = field(default_factory=_not_listed)
    service_details: Listing[ServiceDetail] = field(default_factory=_not_listed)
    vpcs: Listing[Vpc] = field(default_factory=_not_listed)
    subnets: Listing[Subnet] = field(default_factory=_not_listed)
    interfaces: Listing[Interface] = field(default_factory=_not_listed)
    security_groups: Listing[SecurityGroup] = field(default_factory=_not_listed)
    security_group_rules: Listing[SecurityGroupRule] = field(default_factory=_not_listed)
    network_acls: Listing[NetworkAcl] = field(default_factory=_not_listed)
    route_tables: Listing[RouteTable] = field(default_factory=_not_listed)
    prefix_lists: Listing[PrefixList] = field(default_factory=_not_listed)
    flow_logs: Listing[FlowLog] = field(default_factory=_not_listed)
    services: Listing[EndpointService] = field(default_factory=_not_listed)
    connections: Listing[Connection] = field(default_factory=_not_listed)
    load_balancers: Listing[LoadBalancer] = field(default_factory=_not_listed)
    target_groups: Listing[TargetGroup] = field(default_factory=_not_listed)
    vpc_attributes: Details[VpcAttributes] = field(default_factory=dict)
    prefix_list_entries: Details[tuple[Network, ...]] = field(default_factory=dict)
    service_permissions: Details[tuple[Principal, ...]] = field(default_factory=dict)
    listeners: Details[tuple[Listener, ...]] = field(default_factory=dict)
    load_balancer_attributes: Details[Mapping[str, str]] = field(default_factory=dict)
    target_group_attributes: Details[Mapping[str, str]] = field(default_factory=dict)
    target_health: Details[tuple[Target, ...]] = field(default_factory=dict)

    def covers(self, name: str, ids: Iterable[str]) -> bool:
        """Whether a listing, when it was last seen, was to have what belongs to these ids.

        Where it was not, that nothing is in it says nothing: they were not there yet.
        """
        return self.kept_to.get(name, frozenset()).issuperset(ids)

    def listings(self) -> Iterator[tuple[str, Listing[Any]]]:
        """Yield each listing with its name."""
        for name in _PARTS:
            part = getattr(self, name)
            if not isinstance(part, dict):
                yield name, part

    def details(self) -> Iterator[tuple[str, Details[Any]]]:
        """Yield each set of details with its name."""
        for name in _PARTS:
            part = getattr(self, name)
            if isinstance(part, dict):
                yield name, part

    def unavailable(self) -> Iterator[tuple[str, str, Unavailable[Any]]]:
        """Yield the name, the id (empty for a listing) and the failure of what was not seen."""
        for name, part in self.listings():
            if isinstance(part, Unavailable):
                yield name, "", part
        for name, parts in self.details():
            for of, detail in parts.items():
                if isinstance(detail, Unavailable):
                    yield name, of, detail

    def problems(self) -> dict[str, str]:
        """Return the reason for each part that could not be seen; once where many share it."""
        found: dict[tuple[str, str], list[str]] = {}
        for name, of, part in self.unavailable():
            found.setdefault((name, part.reason), []).append(of)
        return {
            name
            + (f" of {ids[0]}" if ids[0] else "")
            + (f" and {len(ids) - 1} more" * (len(ids) > 1)): why
            for (name, why), ids in found.items()
        }

    def settled(self, now: float, keep: float, keep_configuration: float) -> Inventory:
        """Return what may be judged at `now`; see :func:`settle`.

        States that are older than `keep` seconds are unknown, configuration that is older than
        `keep_configuration`.
        """

        def settled(name: str, part: Any) -> Any:
            limit = keep if name in STATES else keep_configuration
            if not isinstance(part, dict):
                return settle(part, now, limit)
            after = {of: settle(detail, now, limit) for of, detail in part.items()}
            return part if all(after[of] is detail for of, detail in part.items()) else after

        changed = {
            name: after
            for name in _PARTS
            if (after := settled(name, getattr(self, name))) is not getattr(self, name)
        }
        # The same where nothing has aged: what is made from it need not be made anew.
        return replace(self, **changed) if changed else self

    def without(self, endpoint_ids: frozenset[str]) -> Inventory:
        """Return the inventory without these endpoints, in what was last seen of them too."""

        def left(known: Known[Mapping[str, Endpoint]]) -> Known[Mapping[str, Endpoint]]:
            rest = {i: e for i, e in known.value.items() if i not in endpoint_ids}
            return Known(rest, known.as_of)

        part: Part[Mapping[str, Endpoint]] = self.endpoints
        if isinstance(part, Known):
            return replace(self, endpoints=left(part))
        last = part.last and left(part.last)
        return replace(self, endpoints=Unavailable(part.reason, part.outcome, last))


_PARTS = tuple(f.name for f in fields(Inventory) if f.name not in ("scope", "kept_to"))
