"""Who speaks for each interface since when: what is counted once when flow logs overlap or change.

A speaker is a flow log, or a flow log by a query (`fl-0a1/insights`). When another one begins to
speak the cut is one instant: records that start before it count from the old one, whenever they
are delivered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from exporter.flowlogs.attribute import Index
from exporter.flowlogs.judge import Choices
from exporter.model import FlowLog, Scope
from exporter.store import Store

# Queries count by the minute of a record's start, so a cut that concerns one is a whole minute.
_MINUTE = 60


def decide(
    store: Store,
    scope: Scope,
    index: Index,
    speaker_of: Mapping[str, str],
    reached: Mapping[str, float],
    unread: Collection[str] = (),
) -> Choices:
    """Return who speaks for each VPC, subnet and interface, since which start, latest first.

    `speaker_of` names a flow log's speaker, `reached` has up to where a speaker's lines are read:
    none that starts later was counted. `unread` are the flow logs that nothing reads. A choice that
    differs from the last one holds from the index's time on; a query takes over where reading has
    come to, since it is chosen when reading cannot keep up. Raises StoreError.
    """
    known = store.choices(scope)
    chosen = {key: speaker_of[f.id] for key, f in index.chosen.items() if f.id in speaker_of}
    # An interface that once had a flow log of its own has a history of its own.
    for resource, action in known:
        if resource in index.places and (resource, action) not in chosen:
            flow_log = index.speaker(resource, action)  # type: ignore[arg-type]  # it was one
            if flow_log and flow_log.id in speaker_of:
                chosen[resource, action] = speaker_of[flow_log.id]  # type: ignore[index]
    called = _called(index, speaker_of)
    readable = {name: f for name, f in called.items() if f.id not in unread}
    new: list[tuple[str, str, float, str]] = []
    for (resource, action), speaker in chosen.items():
        history = known.get((resource, action))
        if history is None:
            # What was said of the subnet or the VPC until now was said of this too.
            history = next(
                (known[up, action] for up in _above(index, resource) if (up, action) in known), []
            )
            new += [(resource, action, since, name) for since, name in history]
        if not history:
            # The first one holds for ever back: when it was first seen bounds it.
            new.append((resource, action, 0.0, speaker))
        elif history[0][1] != speaker and not _stays(history, called[speaker], speaker, readable):
            since = index.as_of
            if "/" in speaker:
                since = min(since, reached.get(history[0][1], since))
            since = max(since, history[0][0] + 1)
            if "/" in speaker + history[0][1]:
                # The next one: what starts on the minute itself may be counted already.
                since = (since // _MINUTE + 1) * _MINUTE
            new.append((resource, action, since, speaker))
    gone = {resource for resource, _ in known} - _present(index)
    if new or gone:
        store.choose(scope, new, gone)
        return store.choices(scope)  # type: ignore[return-value]  # actions come back as texts
    return known  # type: ignore[return-value]


def settled(index: Index, choices: Choices, speaker_of: Mapping[str, str]) -> Index:
    """Return the index in which those speak that `decide` has chosen last."""
    called = _called(index, speaker_of)
    chosen = {
        key: called.get(choices[key][0][1], flow_log) if key in choices else flow_log
        for key, flow_log in index.chosen.items()
    }
    return replace(index, chosen=chosen)


def _called(index: Index, speaker_of: Mapping[str, str]) -> Mapping[str, FlowLog]:
    """Return the flow logs by the names of their speakers."""
    return {name: index.flow_logs[i] for i, name in speaker_of.items() if i in index.flow_logs}


def _stays(
    history: Sequence[tuple[float, str]],
    better: FlowLog,
    speaker: str,
    readable: Mapping[str, FlowLog],
) -> bool:
    """Whether who spoke last goes on although another one would be chosen now.

    One whose delivery has failed does not come back just because it delivers again, nor does one
    take over that does not deliver either: what flickers would cut at every pass.
    """
    last = readable.get(history[0][1])
    if last is None or last.id == better.id:
        return False
    if last.delivers:
        return any(name == speaker for _, name in history)
    return not better.delivers


def _above(index: Index, resource: str) -> Iterator[str]:
    """Yield the subnet and the VPC that a resource is in."""
    place = index.places.get(resource)
    if place:
        yield place.subnet_id
        yield place.vpc_id
    for other in index.places.values():
        if other.subnet_id == resource:
            yield other.vpc_id
            return


def _present(index: Index) -> set[str]:
    """Return every VPC, subnet and interface that is there, or that records may still be of."""
    found = set(index.places) | {resource for resource, _ in index.chosen}
    for place in index.places.values():
        found |= {place.subnet_id, place.vpc_id}
    return found
