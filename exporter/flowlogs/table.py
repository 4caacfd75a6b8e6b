"""A Judge as tables: who owns which token, and from when until when who speaks.

What does not fit a table's row (several lives of an address, several cuts) is `tangled`: the Judge
decides about it record by record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from exporter.flowlogs.attribute import Place
from exporter.flowlogs.block import Ints, Mask, Vocabulary
from exporter.flowlogs.judge import Judge
from exporter.flowlogs.parse import Record
from exporter.model import ACTIONS

__all__ = ["ACTIONS", "Table"]

Floats = npt.NDArray[np.float64]
Indexes: TypeAlias = npt.NDArray[np.int32] | npt.NDArray[np.int64]


class Span(NamedTuple):
    """From which start on until which start a flow log speaks; or that it is not so simple."""

    begin: float
    until: float
    tangled: bool = False


_NEVER = Span(np.inf, np.inf)


class Table:
    """The tables of a Judge of one flow log."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        ((self._speaker, self.flow_log_id),) = judge.speakers.items()
        self.first_seen = judge.first_seen[self.flow_log_id]
        index = judge.index
        vpc = index.vpc_of.get(self.flow_log_id, "")
        own = {i: x for i, x in index.own.items() if x.place.vpc_id == vpc}
        addresses = index.addresses.get(vpc, {})
        lives = {a: x for a, x in addresses.items() if x}
        owners = {x.endpoint_id for x in own.values()}
        owners |= {life.endpoint_id for x in lives.values() for life in x}
        self.endpoints = sorted(owners)
        number = {endpoint_id: i for i, endpoint_id in enumerate(self.endpoints)}
        self.interfaces = Vocabulary(list(own))
        # The last of each is nobody's.
        self._owners = np.array([*(number[x.endpoint_id] for x in own.values()), -1], np.int64)
        self.addresses = Vocabulary(list(lives))
        first = [x[0] for x in lives.values()]
        self._owner = np.array([*(number[x.endpoint_id] for x in first), -1], np.int64)
        self._born = np.array([*(x.born for x in first), np.inf], np.float64)
        self._until = np.array([*(x.until for x in first), -np.inf], np.float64)
        self._many = np.array([*(len(x) > 1 for x in lives.values()), False])
        # By action (0 ACCEPT, 1 REJECT) and interface; the last row is everybody else's.
        spans = [s for a in (0, 1) for s in (*self._spans(own, a), self._clients(vpc, a))]
        self._begin = np.array([s.begin for s in spans], np.float64)
        self._end = np.array([s.until for s in spans], np.float64)
        self._tangled = np.array([s.tangled for s in spans])
        # Mostly one flow log speaks for all.
        self._simple = spans[0] if len(set(spans)) == 1 else None

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the tables, by the names that the compiled code has for them."""
        return {
            "owners": self._owners,
            "owner": self._owner,
            "born": self._born,
            "until": self._until,
            "many": self._many,
            "begin": self._begin,
            "end": self._end,
            "tangled": self._tangled,
        }

    def owners(self, own: Indexes) -> Ints:
        """Return for interfaces, by number, whose they are; -1 for nobody's."""
        return self._owners[own]

    def lives(self, found: Indexes) -> tuple[Ints, Floats, Floats, Mask]:
        """Return for addresses, by number, the owner, from when until when, whether tangled."""
        return self._owner[found], self._born[found], self._until[found], self._many[found]

    def spoken(
        self, own: Indexes, rejected: Mask
    ) -> tuple[Floats | float, Floats | float, Mask | bool]:
        """Return from which start until which the flow log speaks, whether that is tangled.

        `own` are numbers of interfaces, -1 for any that is no endpoint's. What is the same for all
        is returned once.
        """
        if self._simple:
            return self._simple
        width = len(self._owners)
        at = rejected * width + own % width
        return self._begin[at], self._end[at], self._tangled[at]

    def _spans(self, own: Iterable[str], action: int) -> Iterator[Span]:
        """Yield the span of each interface: once found for all of a subnet that have no own."""
        known: dict[Place, Span] = {}
        for i in own:
            if (i, ACTIONS[action]) in self.judge.choices or i not in self.judge.index.places:
                yield self._span(i, action)
                continue
            place = self.judge.index.places[i]
            if place not in known:
                known[place] = self._span(i, action)
            yield known[place]

    def _span(self, interface_id: str, action: int) -> Span:
        cuts = self.judge.cuts(interface_id, Record(interface_id, ACTIONS[action], 0, 0))
        if cuts is None:
            return Span(0.0, np.inf)
        spoken = [
            Span(since, cuts[i - 1][0] if i else np.inf)
            for i, (since, speaker) in enumerate(cuts)
            if speaker == self._speaker
        ]
        if not spoken:
            return _NEVER
        return spoken[0] if len(spoken) == 1 else Span(0.0, 0.0, True)

    def _clients(self, vpc: str, action: int) -> Span:
        """Return the span of every interface that the flow log covers, if it is the same."""
        index = self.judge.index
        resource = index.flow_logs[self.flow_log_id].resource_id
        chosen = {of for of, _ in self.judge.choices}
        known = {
            place.subnet_id if i not in chosen else i: i
            for i, place in index.places.items()
            if i not in index.own and resource in (i, place.subnet_id, place.vpc_id)
        }
        unlisted = {of for of in chosen if of.startswith("eni-") and of not in index.places}
        spans = {self._span(i, action) for i in ("-", *known.values(), *unlisted)}
        return spans.pop() if len(spans) == 1 else Span(0.0, 0.0, True)
