"""What becomes of a record: whose it is, and whether it counts. The one place that decides it.

`columns.py` decides the same for whole slices, by tables that are made from a Judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from exporter.flowlogs.attribute import Index, Place, Resource
from exporter.flowlogs.parse import Record

Side: TypeAlias = Literal["endpoint", "client"]
# By resource and action: since which start of a record which flow log speaks, latest first.
Choices: TypeAlias = Mapping[Resource, Sequence[tuple[float, str]]]
# A line may not end later than this after it was delivered.
CLOCKS_DIFFER = 3600.0


class Verdict(NamedTuple):
    """A record's fate, and the flow log that it is put down to.

    Of a record that is counted: the endpoint, on which side it was seen, and whether it went to
    the endpoint; None where its addresses do not tell.
    """

    flow_log_id: str
    result: str
    endpoint_id: str = ""
    side: Side = "endpoint"
    inbound: bool | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides about the records of flow logs that deliver lines of one layout to one place.

    `speakers` are the names that these flow logs are chosen by, with their ids; `first_seen` is by
    id. A record counts up to `lookback` seconds after its end.
    """

    index: Index
    choices: Choices
    speakers: Mapping[str, str]
    first_seen: Mapping[str, float]
    lookback: float

    @property
    def flow_log_ids(self) -> tuple[str, ...]:
        """The flow logs whose lines these may be."""
        return tuple(self.speakers.values())

    def verdict(self, record: Record, delivered: float) -> Verdict:
        """Return what becomes of a record that was delivered at that moment, in seconds."""
        first = self.flow_log_ids[0]
        concerned = self.concerned(record)
        if concerned is None:
            return Verdict(first, "other")
        endpoint_id, side, inbound = concerned
        if record.nonsense or record.end > delivered + CLOCKS_DIFFER:
            return Verdict(first, "malformed")
        spoke = self.speakers.get(self.spoke(record) or "")
        if spoke is None:
            # Another flow log speaks for this interface and has delivered this record as well.
            return Verdict(first, "duplicate")
        if record.start < self.first_seen[spoke]:
            return Verdict(spoke, "before_start")
        if delivered - record.end > self.lookback:
            return Verdict(spoke, "late")
        return Verdict(spoke, "counted", endpoint_id, side, inbound)

    def concerned(self, record: Record) -> tuple[str, Side, bool | None] | None:
        """Return the endpoint, the side and the direction of a record; None when it is nobody's.

        At an endpoint's own interface it is the endpoint's. At any other one its peer may be an
        endpoint of the same VPC, by an address that the endpoint had all the while.
        """
        own = self.index.own.get(record.interface_id)
        addresses = self.index.addresses.get(self._vpc(record.interface_id), {})
        if own:
            for inbound, ends in ((True, record.targets), (False, record.sources)):
                for address in ends:
                    if any(x.endpoint_id == own.endpoint_id for x in addresses.get(address, ())):
                        return own.endpoint_id, "endpoint", inbound
            return own.endpoint_id, "endpoint", None
        for inbound, ends in ((True, record.targets), (False, record.sources)):
            for address in ends:
                for life in addresses.get(address, ()):
                    if life.born <= record.start and record.end <= life.until:
                        return life.endpoint_id, "client", inbound
        return None

    def spoke(self, record: Record) -> str | None:
        """Return who speaks for the record's interface at its start; None when nobody does.

        An interface that was never listed is its VPC's; where no flow log is on the VPC, whoever
        delivered the record speaks.
        """
        cuts = self.cuts(record.interface_id, record)
        if cuts is None:
            return next(iter(self.speakers))
        return next((name for since, name in cuts if since <= record.start), None)

    def cuts(self, interface_id: str, record: Record) -> Sequence[tuple[float, str]] | None:
        """Return since when who speaks for an interface; None where nothing was ever chosen."""
        place = self.index.places.get(interface_id, Place(self._vpc(interface_id), ""))
        for resource in (interface_id, place.subnet_id, place.vpc_id):
            cuts = self.choices.get((resource, record.action))
            if cuts is not None:
                return cuts
        return None

    def _vpc(self, interface_id: str) -> str:
        place = self.index.places.get(interface_id)
        if place:
            return place.vpc_id
        vpcs = {self.index.vpc_of.get(i, "") for i in self.flow_log_ids}
        return vpcs.pop() if len(vpcs) == 1 else ""
