"""The World: all that is known of every account and Region at one moment, frozen.

Metrics, pages and API show the same World.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.aws.session import RequestKey
from exporter.config import EndpointSettings
from exporter.flowlogs import attribute
from exporter.flowlogs.attribute import Allowed, Index
from exporter.flowlogs.ingest import Report
from exporter.model import (
    Change,
    Dial,
    Endpoint,
    EndpointService,
    FlowLog,
    Inventory,
    Lookup,
    Recorded,
    Scope,
    last_known,
)


@dataclass(frozen=True, slots=True)
class CollectorStatus:
    """How a collector's last pass went; `ended` and `last_success` in seconds since the epoch.

    `part` tells apart what one collector does in several passes (a resolver's address).
    `problems` has the reason for each thing that the pass could not see.
    """

    collector: str
    scope: Scope
    part: str
    ended: float
    duration: float
    last_success: float | None
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def up(self) -> bool:
        """Whether the pass saw everything it should."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Estate:
    """One account and Region: its inventory as it may be judged, lookups, flow-log counts.

    `allowed` says by which sources flow logs may be read. `recorded` are the changes that were made
    there; `touched` has, by the id of an endpoint or service here, those that touch it, wherever
    they were made, the newest first. `dials` are the connections
    from here.
    """

    scope: Scope
    inventory: Inventory
    index: Index | None
    lookups: tuple[Lookup, ...]
    report: Report
    allowed: Allowed = attribute.ANY
    recorded: Recorded = field(default_factory=Recorded)
    touched: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    dials: tuple[Dial, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that were made in this account and Region, the newest first."""
        return self.recorded.changes

    def endpoints(self) -> Iterator[Endpoint]:
        """Yield the endpoints of the last listing that succeeded, by id."""
        known = last_known(self.inventory.endpoints) or {}
        yield from (known[i] for i in sorted(known))

    def services(self) -> Iterator[EndpointService]:
        """Yield the account's own endpoint services of the last listing that succeeded, by id."""
        known = last_known(self.inventory.services) or {}
        yield from (known[i] for i in sorted(known))

    def reads(self, flow_log: FlowLog) -> bool:
        """Whether a flow log's records are counted: there is a source, and it has been read.

        Before the first pass it may be for all that is known.
        """
        if not attribute.readable(flow_log, self.allowed):
            return False
        pick = self.report.picks.get(flow_log.id)
        if pick is not None and not pick.source:
            return False
        return not any(
            source.problem and source.read_to is None
            for source in self.report.sources.values()
            if flow_log.id in source.flow_log_ids
        )

    def flow_logs(self) -> Mapping[str, FlowLog]:
        """Return the flow logs, last known, that concern an endpoint."""
        return attribute.relevant(self.inventory)


@dataclass(frozen=True, slots=True)
class World:
    """Everything, as of one moment."""

    as_of: float
    version: str
    python_version: str
    estates: tuple[Estate, ...] = ()
    collectors: tuple[CollectorStatus, ...] = ()
    requests: Mapping[RequestKey, int] = field(default_factory=dict)
    store_ok: bool = True
    tag_labels: tuple[str, ...] = ()
    reload_ok: bool = True
    # Dollars, estimated, by service and operation.
    costs: Mapping[tuple[str, str], float] = field(default_factory=dict)
    # The VPCs that this host is in or can reach, so that it may judge by connecting.
    reachable: frozenset[str] = frozenset()
    # Collectors that do not run: switched off, or not configured.
    off: frozenset[str] = frozenset()
    # What the configuration says of endpoints, in its order.
    configured: tuple[EndpointSettings, ...] = ()
    # Passes whose first one has not ended: collector, scope, part.
    waiting: tuple[tuple[str, Scope, str], ...] = ()


def newest_first(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return changes, each once, the newest first."""
    once = {(change.at, change.id): change for change in changes}
    return tuple(once[key] for key in sorted(once, reverse=True))
