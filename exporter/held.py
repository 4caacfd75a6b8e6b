"""What every collector found last, and what of it may be judged now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from exporter.analysis.related import Related
from exporter.config import EndpointSettings
from exporter.flowlogs import attribute
from exporter.flowlogs.attribute import Allowed, Index
from exporter.flowlogs.ingest import Report
from exporter.model import Change, Dial, Inventory, Lookup, Recorded, Scope, last_known
from exporter.world import CollectorStatus, Estate, newest_first

Key: TypeAlias = tuple[str, Scope, str]


@dataclass(frozen=True, slots=True)
class Limits:
    """For how many seconds a sight may be judged, and what else of the configuration matters here.

    `tag_labels` are tags that become labels of `_info`, `allowed` says by which sources flow
    logs may be read, `reachable` are the VPCs that this host may judge by connecting, `endpoints`
    what AWS cannot tell of endpoints; `off` are the collectors that do not run.
    """

    states: float = 900.0
    configuration: float = 900.0
    tag_labels: tuple[str, ...] = ()
    allowed: Allowed = attribute.ANY
    reachable: frozenset[str] = frozenset()
    endpoints: tuple[EndpointSettings, ...] = ()
    off: frozenset[str] = frozenset()


@dataclass(slots=True)
class Held:
    """What was found, by scope; `scopes` are those that are watched, `expected` who has to report.

    `foreign` has the endpoints that another account owns, with the owner: it may list them too.
    """

    limits: Limits = Limits()
    expected: set[Key] = field(default_factory=set)
    statuses: dict[Key, CollectorStatus] = field(default_factory=dict)
    scopes: set[Scope] = field(default_factory=set)
    inventories: dict[Scope, Inventory] = field(default_factory=dict)
    foreign: dict[Scope, Mapping[str, str]] = field(default_factory=dict)
    lookups: dict[tuple[Scope, str], tuple[Lookup, ...]] = field(default_factory=dict)
    reports: dict[Scope, Report] = field(default_factory=dict)
    changes: dict[Scope, Recorded] = field(default_factory=dict)
    dials: dict[Scope, tuple[Dial, ...]] = field(default_factory=dict)
    # The index of an inventory, as long as it is that inventory.
    _indexes: dict[Scope, tuple[Inventory, Index | None]] = field(default_factory=dict)
    # The same for what belongs to what.
    _related: dict[Scope, tuple[Inventory, Related]] = field(default_factory=dict)

    def copy(self) -> Held:
        """Return what is held now, for another thread; what was found is never changed."""
        return Held(
            self.limits,
            set(self.expected),
            dict(self.statuses),
            set(self.scopes),
            dict(self.inventories),
            dict(self.foreign),
            dict(self.lookups),
            dict(self.reports),
            dict(self.changes),
            dict(self.dials),
            self._indexes,
            self._related,
        )

    def inventory(self, scope: Scope, now: float) -> Inventory | None:
        """Return the scope's inventory as it may be judged at `now`; None before the first pass.

        An endpoint in a shared VPC that several accounts list is its owner's where the owner is
        watched, else the first account's.
        """
        held = self.inventories.get(scope)
        if held is None:
            return None
        limits = self.limits
        settled = held.settled(now, limits.states, limits.configuration)
        elsewhere = frozenset(
            i for i, owner in self.foreign[scope].items() if self._listed_before(scope, i, owner)
        )
        return settled.without(elsewhere) if elsewhere else settled

    def _listed_before(self, scope: Scope, endpoint_id: str, owner: str) -> bool:
        at_home = Scope(owner, scope.region)
        if at_home in self.scopes and at_home not in self.inventories:
            return True  # the owner's first pass has not ended: it must not move to it then
        for other, inventory in self.inventories.items():
            if other.region != scope.region or other == scope:
                continue
            first = other.account == owner or (
                other.account < scope.account and endpoint_id in self.foreign[other]
            )
            if first and endpoint_id in (last_known(inventory.endpoints) or {}):
                return True
        return False

    def estates(self, now: float) -> tuple[Estate, ...]:
        """Return what may be judged at `now`, by scope."""
        lookups: dict[Scope, list[Lookup]] = {}
        for (scope, _resolver), found in sorted(self.lookups.items(), key=lambda item: item[0]):
            fresh = (x for x in found if now - x.as_of <= self.limits.states)
            lookups.setdefault(scope, []).extend(fresh)
        touching: dict[str, list[Change]] = {}
        for recorded in self.changes.values():
            for change in recorded.changes:
                for name in change.touches:
                    touching.setdefault(name, []).append(change)
        return tuple(
            Estate(
                scope,
                inventory,
                self.index(inventory),
                tuple(lookups.get(scope, ())),
                self.reports.get(scope, Report()),
                self.limits.allowed,
                self.changes.get(scope, Recorded()),
                self._touched(inventory, touching),
                tuple(d for d in self.dials.get(scope, ()) if now - d.at <= self.limits.states),
            )
            for scope in sorted(self.inventories)
            if (inventory := self.inventory(scope, now))
        )

    def _touched(
        self, inventory: Inventory, touching: Mapping[str, list[Change]]
    ) -> Mapping[str, tuple[Change, ...]]:
        """Return the changes that touch each endpoint and service, the newest first."""
        if not touching:
            return {}
        known = self._related.get(inventory.scope)
        if known is None or known[0] is not inventory:
            known = self._related[inventory.scope] = (inventory, Related(inventory))
        return {
            subject: newest_first(c for name in names for c in touching[name])
            for subject, names in known[1].touched_by(touching.keys()).items()
        }

    def index(self, inventory: Inventory) -> Index | None:
        """Return who owns which interface; made once for each inventory."""
        known = self._indexes.get(inventory.scope)
        if known is None or known[0] is not inventory:
            made = attribute.index(inventory, self.limits.allowed)
            known = self._indexes[inventory.scope] = (inventory, made)
        return known[1]
