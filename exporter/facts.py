"""World → Facts: what is known, in the nouns that diagnosis judges by.

A fact that is not known is None or missing, with the reason in `Site.blind`: nothing here turns it
into nothing there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from heapq import merge
from ipaddress import ip_address
from operator import itemgetter

from exporter.config import EndpointSettings
from exporter.flowlogs import attribute
from exporter.flowlogs.notes import Top
from exporter.flowlogs.sourcing import QUERIES
from exporter.model import (
    ACTIONS,
    Action,
    Address,
    Dial,
    Endpoint,
    Expected,
    Facts,
    FlowLog,
    Known,
    Lookup,
    Rejected,
    Scope,
    Site,
    Traffic,
)
from exporter.world import Estate, World

# These say themselves, part by part, what they could not see.
_NAMING = frozenset({"accounts", "inventory"})


def facts(world: World) -> Facts:
    """Return what the World knows, a Site for each account and Region."""
    blind = _blind(world)
    configured = Configured(world.configured)
    sites = (
        _site(world, estate, blind.get(estate.scope, {}), configured) for estate in world.estates
    )
    return Facts(world.as_of, tuple(sites), world.off, world.reachable, _closed(world))


def unmatched(world: World) -> tuple[str, ...]:
    """Return the configured ids that are no watched endpoint's.

    Nothing while some listing may still have them.
    """
    listed = all(isinstance(estate.inventory.endpoints, Known) for estate in world.estates)
    found = all(c.up for c in world.collectors if c.collector == "accounts")
    if world.waiting or not (world.estates and listed and found):
        return ()
    there = {endpoint.id for estate in world.estates for endpoint in estate.endpoints()}
    wanted = dict.fromkeys(e.match.id for e in world.configured if e.match.id is not None)
    return tuple(i for i in wanted if i not in there)


def _site(world: World, estate: Estate, blind: Mapping[str, str], configured: Configured) -> Site:
    lookups: dict[str, tuple[Lookup, ...]] = {}
    for lookup in estate.lookups:
        lookups[lookup.endpoint_id] = (*lookups.get(lookup.endpoint_id, ()), lookup)
    dials: dict[str, tuple[Dial, ...]] = {}
    for dial in estate.dials:
        dials[dial.endpoint_id] = (*dials.get(dial.endpoint_id, ()), dial)
    endpoints = list(estate.endpoints())
    told = _Told(estate, world.as_of)
    return Site(
        estate.scope,
        estate.inventory,
        lookups,
        {endpoint.id: told.traffic(endpoint) for endpoint in endpoints},
        dials,
        estate.changes,
        expected={e.id: said for e in endpoints if (said := configured.expected(e)) != Expected()},
        blind=blind,
    )


class Configured:
    """What the configuration says of endpoints, to be found by their ids."""

    def __init__(self, configured: Iterable[EndpointSettings]) -> None:
        self._by_id: dict[str, list[tuple[int, EndpointSettings]]] = {}
        # Those that are for tags alone may be of any endpoint.
        self._by_tags: list[tuple[int, EndpointSettings]] = []
        for number, entry in enumerate(configured):
            of = self._by_tags
            if entry.match.id is not None:
                of = self._by_id.setdefault(entry.match.id, [])
            of.append((number, entry))

    def expected(self, endpoint: Endpoint) -> Expected:
        """Return what is said of an endpoint: by the later entry that matches, field by field."""
        own = self._by_id.get(endpoint.id, ())
        said: dict[str, object] = {}
        for _, entry in merge(own, self._by_tags, key=itemgetter(0)):
            if entry.match.matches(endpoint.id, endpoint.tags):
                fields = entry.model_fields_set - {"match"}
                said |= {field: getattr(entry, field) for field in fields}
        return Expected(**said)  # type: ignore[arg-type]  # its fields have the configuration's names


def _closed(world: World) -> Mapping[Scope, str]:
    """Return the watched accounts and Regions of which nothing has been seen, and why."""
    accounts = {estate.scope.account for estate in world.estates}
    found = {
        status.scope: "; ".join(status.problems[what] for what in sorted(status.problems))
        for status in world.collectors
        if status.collector == "accounts" and status.problems
    }
    for collector, scope, _ in world.waiting:
        if collector in _NAMING:
            found.setdefault(scope, "its first pass has not ended")
    return {
        scope: why
        for scope, why in found.items()
        if scope.account and (scope.region or scope.account not in accounts)
    }


def _blind(world: World) -> Mapping[Scope, Mapping[str, str]]:
    """Return for each scope which collectors could not see something, and why."""
    found: dict[Scope, dict[str, list[str]]] = {}

    def tell(collector: str, scope: Scope, part: str, why: str) -> None:
        if collector not in _NAMING:
            text = f"{part}: {why}" if part else why
            found.setdefault(scope, {}).setdefault(collector, []).append(text)

    for status in world.collectors:
        for what, why in sorted(status.problems.items()):
            said = why if what == "pass" else f"{what}: {why}"
            tell(status.collector, status.scope, status.part, said)
    for collector, scope, part in world.waiting:
        tell(collector, scope, part, "its first pass has not ended")
    return {
        scope: {collector: "; ".join(whys) for collector, whys in collectors.items()}
        for scope, collectors in found.items()
    }


class _Told:
    """What the flow logs of one account and Region tell, gathered once for all its endpoints."""

    def __init__(self, estate: Estate, now: float) -> None:
        self._estate = estate
        self._covering = attribute.covering(estate.inventory)
        self._tops = estate.report.noted.tops(now)

    def traffic(self, endpoint: Endpoint) -> Traffic:
        """Return what they tell of an endpoint."""
        covering = self._covering.get(endpoint.id, ())
        return Traffic(
            self._coverage(endpoint),
            covering,
            {f.id: why for f in covering if (why := self._unread.get(f.id))},
            self._accepted_ports.get(endpoint.id, frozenset()),
            self._estate.report.noted.clients.get(endpoint.id, ()),
            self._rejected(endpoint),
            self._read_to(endpoint),
        )

    def _coverage(self, endpoint: Endpoint) -> Mapping[Action, float] | None:
        index = self._estate.index
        if index is None or not self._estate.report.number:
            return None
        found = attribute.coverage(endpoint, index, self._estate.reads)
        # Nothing is not known of interfaces that were not listed yet; a gateway has none.
        return found if found or not endpoint.interface_ids else None

    @cached_property
    def _unread(self) -> Mapping[str, str]:
        """Why flow logs are not read, by their ids."""
        estate = self._estate
        found: dict[str, str] = {}
        for flow_log in {f.id: f for some in self._covering.values() for f in some}.values():
            if estate.reads(flow_log):
                continue
            pick = estate.report.picks.get(flow_log.id)
            failed = [
                source.problem.reason
                for source in estate.report.sources.values()
                if flow_log.id in source.flow_log_ids and source.problem
            ]
            why = attribute.unreadable(flow_log, estate.allowed)
            why = why or (pick.reason if pick and not pick.source else None)
            found[flow_log.id] = why or "; ".join(failed)
        return found

    @cached_property
    def _accepted_ports(self) -> Mapping[str, frozenset[tuple[int, int]]]:
        found: dict[str, set[tuple[int, int]]] = {}
        for endpoint_id, protocol, port in self._estate.report.noted.accepted:
            if port >= 0 and protocol >= 0:
                found.setdefault(endpoint_id, set()).add((protocol, port))
        return {endpoint_id: frozenset(ports) for endpoint_id, ports in found.items()}

    def _rejected(self, endpoint: Endpoint) -> tuple[Rejected, ...] | None:
        """Return who was rejected most in the last hour; None where no flow log tells who."""
        report = self._estate.report
        if endpoint.id not in self._counted or self._estate.index is None:
            return None
        speaking = self._speaking(endpoint, "REJECT")
        sources = {report.picks[f.id].source for f in speaking if f.id in report.picks}
        if sources and sources <= {*QUERIES}:
            return None  # a query does not tell who
        tops = self._tops.get(endpoint.id, ())
        found = tuple(made for top in tops if (made := _made(top)))
        # A format without addresses tells that somebody was, and not who.
        return found if found or not tops else None

    @cached_property
    def _counted(self) -> frozenset[str]:
        """The endpoints of which something tells about REJECT."""
        return frozenset(k.subject for k in self._estate.report.counters if k.label == "REJECT")

    def _read_to(self, endpoint: Endpoint) -> float | None:
        speaking = {f.id: f for action in ACTIONS for f in self._speaking(endpoint, action)}
        moments = [self._front.get(i) for i, f in speaking.items() if self._estate.reads(f)]
        known = [moment for moment in moments if moment is not None]
        return min(known) if known and len(known) == len(moments) else None

    @cached_property
    def _front(self) -> Mapping[str, float]:
        """Up to when each flow log has been read, by the source that is further behind."""
        found: dict[str, float] = {}
        for source in self._estate.report.sources.values():
            for flow_log_id in source.flow_log_ids:
                if source.read_to is not None:
                    before = found.get(flow_log_id, source.read_to)
                    found[flow_log_id] = min(before, source.read_to)
        return found

    def _speaking(self, endpoint: Endpoint, action: Action) -> Iterable[FlowLog]:
        index = self._estate.index
        if index is None:
            return ()
        found = (index.speaker(i, action) for i in endpoint.interface_ids)
        return [flow_log for flow_log in found if flow_log]


def _made(top: Top) -> Rejected | None:
    """Return one of the most rejected as the model has it; None where the record has no address."""
    who = top.who
    address = _address(who.source)
    if address is None:
        return None
    return Rejected(
        address,
        None if who.port < 0 else who.port,
        None if who.protocol < 0 else who.protocol,
        who.side,
        who.direction,
        who.packets,
        top.least,
        top.error,
        top.first,
        top.last,
    )


def _address(text: str) -> Address | None:
    """Return an address; None for what is none, whatever somebody's log line says."""
    try:
        return ip_address(text)
    except ValueError:
        return None
