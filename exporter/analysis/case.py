"""One endpoint or service to be judged, with all that was seen around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

import structlog

from exporter.analysis.around import Around
from exporter.analysis.judged import Judged, Unseen, not_applicable, unknown
from exporter.analysis.rules import Peer
from exporter.analysis.subnets import Subnets
from exporter.model import (
    Address,
    Change,
    Connection,
    Endpoint,
    EndpointService,
    Expected,
    Facts,
    Finding,
    Interface,
    Lookup,
    Scope,
    Site,
    Traffic,
    Unavailable,
    last_known,
)

# Types by what there is to judge: those with interfaces of their own have names and groups too.
WITH_NAMES = frozenset({"Interface", "Resource", "ServiceNetwork"})
WITH_INTERFACES = WITH_NAMES | {"GatewayLoadBalancer"}

log = structlog.get_logger()
C = TypeVar("C", bound="EndpointCase | ServiceCase")


class World:
    """The facts, indexed; made once for all endpoints and services."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.around = {site.scope: Around(site.inventory) for site in facts.sites}
        self.subnets = Subnets(facts)
        # By an id and a check, the changes of that id that can make it fail.
        self.causing: dict[tuple[str, str], tuple[Change, ...]] = {}
        self._sites = {site.scope: site for site in facts.sites}
        self._providers: dict[str, tuple[Site, EndpointService]] = {}
        for site in facts.sites:
            for service in (last_known(site.inventory.services) or {}).values():
                self._providers.setdefault(service.service_name, (site, service))

    def endpoints(self) -> Iterable[EndpointCase]:
        """Yield the endpoints of the last listings that succeeded."""
        for site in self.facts.sites:
            known = last_known(site.inventory.endpoints) or {}
            for endpoint_id in sorted(known):
                yield EndpointCase(self, site, known[endpoint_id])

    def services(self) -> Iterable[ServiceCase]:
        """Yield the endpoint services of the last listings that succeeded."""
        for site in self.facts.sites:
            known = last_known(site.inventory.services) or {}
            for service_id in sorted(known):
                yield ServiceCase(self, site, known[service_id])

    def provider(self, endpoint: EndpointCase) -> ServiceCase | None:
        """Return the service of an endpoint, judged for it alone; None where it is not watched."""
        name = endpoint.endpoint.service_name
        found = self._providers.get(name) if name else None
        return ServiceCase(self, *found, endpoint) if found else None

    def hidden_provider(self, endpoint: EndpointCase) -> str | None:
        """Return why the service of an endpoint was not seen, though its account is watched."""
        of = endpoint.endpoint
        if not of.service_name or of.service_name in self._providers:
            return None
        try:
            detail = endpoint.around.service(of.service_name, of.type)
        except Unseen:
            return None  # whose it is, is not known
        region = of.service_region or endpoint.scope.region
        return self._hidden("services", Scope(detail.owner, region)) if detail else None

    def hidden_consumer(self, connection: Connection, region: str) -> str | None:
        """Return why the endpoint of a connection was not seen, though its account is watched.

        `region` is the service's.
        """
        return self._hidden("endpoints", Scope(connection.owner, connection.region or region))

    def _hidden(self, listing: str, scope: Scope) -> str | None:
        closed, site = self.facts.closed, self._sites.get(scope)
        if site is None:
            why = closed.get(scope) or closed.get(Scope(scope.account, ""))
            return f"account {scope.account}: {why}" if why else None
        part = getattr(site.inventory, listing)
        if last_known(part) is not None or not isinstance(part, Unavailable):
            return None
        return f"{listing} of account {scope.account}: {part.reason}"

    def endpoint(self, endpoint_id: str) -> EndpointCase | None:
        """Return an endpoint by its id; None where no listing has it."""
        return self._by_id.get(endpoint_id)

    def at_service(self, service_name: str) -> Mapping[Address, str]:
        """Return whose each address is that endpoints have for a service, wherever they are.

        An address that several have, in VPCs with the same network, is one of theirs.
        """
        return self._at_service.get(service_name, {})

    def asked_about(self, scope: Scope) -> tuple[frozenset[str], bool]:
        """Return the VPCs whose endpoints were asked for there, and whether everybody answered."""
        return self._asked_about[scope]

    @cached_property
    def _asked_about(self) -> dict[Scope, tuple[frozenset[str], bool]]:
        found = {}
        for site in self.facts.sites:
            known = last_known(site.inventory.endpoints) or {}
            vpcs = frozenset(known[i].vpc_id for i, x in site.lookups.items() if x and i in known)
            every = (x for lookups in site.lookups.values() for x in lookups)
            found[site.scope] = vpcs, all(x.problem != "timeout" for x in every)
        return found

    @cached_property
    def _at_service(self) -> dict[str, dict[Address, str]]:
        found: dict[str, dict[Address, str]] = {}
        for case in self.endpoints():
            endpoint = case.endpoint
            if endpoint.service_name and endpoint.state in ("available", "partial", "pending"):
                interfaces = last_known(case.site.inventory.interfaces) or {}
                own = found.setdefault(endpoint.service_name, {})
                for i in endpoint.interface_ids:
                    for address in interfaces[i].addresses if i in interfaces else ():
                        own[address] = endpoint.id
        return found

    @cached_property
    def changes(self) -> Mapping[str, tuple[Change, ...]]:
        """The changes, by each id that they touch: an event may be another account's or Region's.

        The requests of who owns a shared VPC are in its own trail, those to Route 53 in one Region.
        """
        found: dict[str, list[Change]] = {}
        for site in self.facts.sites:
            for change in site.changes:
                for name in change.touches:
                    found.setdefault(name, []).append(change)
        return {name: tuple(changes) for name, changes in found.items()}

    @cached_property
    def _by_id(self) -> dict[str, EndpointCase]:
        return {case.endpoint.id: case for case in self.endpoints()}


class Target(NamedTuple):
    """An address of an endpoint, with the interface that has it."""

    interface: Interface
    address: Address
    peer: Peer


class Case:
    """What is to be judged, where it is, and all that was seen around it."""

    def __init__(self, world: World, site: Site) -> None:
        self.world = world
        self.site = site
        self.around = world.around[site.scope]

    @property
    def now(self) -> float:
        """The moment that is judged, in seconds since the epoch."""
        return self.world.facts.as_of

    @property
    def scope(self) -> Scope:
        """Where it is."""
        return self.site.scope


class EndpointCase(Case):
    """An endpoint to be judged. What cannot be seen raises Unseen where it is asked for."""

    def __init__(self, world: World, site: Site, endpoint: Endpoint) -> None:
        super().__init__(world, site)
        self.endpoint = endpoint

    @property
    def type(self) -> str:
        """The endpoint's type, which decides which checks concern it."""
        return self.endpoint.type

    @property
    def gone(self) -> bool:
        """Whether it is on its way out: nothing is judged of it."""
        return self.endpoint.state in ("deleting", "deleted")

    @cached_property
    def interfaces(self) -> tuple[Interface, ...]:
        """Its network interfaces; raises Unseen, where AWS names none of an available one too."""
        if not self.endpoint.interface_ids and self.endpoint.state == "available":
            raise Unseen(f"interfaces of {self.endpoint.id}: AWS names none")
        return tuple(self.around.interface(i) for i in self.endpoint.interface_ids)

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Each of its addresses, as its clients' packets find it; raises Unseen."""
        return tuple(
            Target(i, address, Peer.of(address, frozenset(i.security_group_ids)))
            for i in self.interfaces
            for address in i.addresses
        )

    @property
    def traffic(self) -> Traffic:
        """What flow logs tell of it."""
        return self.site.traffic.get(self.endpoint.id, _NOTHING)

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        """What resolvers answered for its names."""
        return self.site.lookups.get(self.endpoint.id, ())

    @property
    def expected(self) -> Expected:
        """What the configuration says of it."""
        return self.site.expected.get(self.endpoint.id, _UNTOLD)

    @cached_property
    def provider(self) -> ServiceCase | None:
        """Its service, judged for this endpoint alone; None where the provider is not watched."""
        return self.world.provider(self)


class ServiceCase(Case):
    """An endpoint service to be judged: for all its consumers, or for one endpoint of them."""

    def __init__(
        self,
        world: World,
        site: Site,
        service: EndpointService,
        consumer: EndpointCase | None = None,
    ) -> None:
        super().__init__(world, site)
        self.service = service
        self.consumer = consumer

    @property
    def type(self) -> str:
        """The first of the service's types, which decides which checks concern it."""
        return next(iter(self.service.types), "Interface")

    @property
    def gone(self) -> bool:
        """Whether it is on its way out: nothing is judged of it."""
        return self.service.state in ("deleting", "deleted")


# What flow logs tell of an endpoint that none covers, and the configuration where it says nothing.
_NOTHING, _UNTOLD = Traffic(), Expected()
_told: set[str] = set()


def tell(check: str, bug: Exception) -> None:
    """Log a bug once, not at every publication."""
    text = f"{check}: {type(bug).__name__}: {bug}"
    if text not in _told:
        _told.add(text)
        log.error("a check broke", check=check, exc_info=bug)


@dataclass(frozen=True, slots=True)
class Check(Generic[C]):
    """A check: its name, the function that judges, and what it concerns.

    `types` are those of endpoints or services, `collector` is the one without which there is
    nothing to judge by.
    """

    name: str
    judge: Callable[[C], Judged]
    types: frozenset[str] | None = None
    collector: str | None = None

    def __call__(self, case: C) -> Finding:
        """Return the check's finding; what could not be seen makes it unknown."""
        found = self._look(case)
        return Finding(
            self.name, found.status, found.summary, found.resources, found.evidence, found.fix
        )

    def _look(self, case: C) -> Judged:
        if case.gone:
            return not_applicable("It is being deleted.")
        if self.types is not None and case.type not in self.types:
            return not_applicable(f"Does not concern the type {case.type}.")
        if self.collector in case.world.facts.off:
            return not_applicable(f"The collector {self.collector} is switched off: not judged.")
        try:
            return self.judge(case)
        except Unseen as why:
            return unknown(f"Cannot be judged: {why}.")
        except Exception as bug:  # noqa: BLE001  # told, and unknown
            # One odd endpoint must not take everybody's metrics away.
            tell(self.name, bug)
            what = f"{type(bug).__name__}: {bug}"
            return unknown(f"Cannot be judged: this check broke ({what}); please report it.")
