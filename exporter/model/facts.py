"""Everything that is judged by: what was seen of every account and Region, and what was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.model.change import Change
from exporter.model.inventory import Inventory
from exporter.model.lookup import Lookup
from exporter.model.network import Network
from exporter.model.part import Scope
from exporter.model.traffic import Dial, Traffic


@dataclass(frozen=True, slots=True)
class Expected:
    """What the configuration says of an endpoint, which AWS cannot tell; None where it does not.

    `private_dns` is False where private DNS is off on purpose.
    """

    ports: tuple[int, ...] = ()
    clients: tuple[Network, ...] = ()
    private_dns: bool | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """One account and Region, as it may be judged; all mappings are by the endpoint's id."""

    scope: Scope
    inventory: Inventory
    lookups: Mapping[str, tuple[Lookup, ...]] = field(default_factory=dict)
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    dials: Mapping[str, tuple[Dial, ...]] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    expected: Mapping[str, Expected] = field(default_factory=dict)
    # By collector (dns, flow_logs, changes, connectivity) why its last pass did not see everything.
    blind: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """All accounts and Regions at one moment; `off` are the collectors that are switched off.

    `reachable` are the VPCs that this host is in or can reach, so that it may judge by connecting.
    """

    as_of: float
    sites: tuple[Site, ...] = ()
    off: frozenset[str] = frozenset()
    reachable: frozenset[str] = frozenset()
