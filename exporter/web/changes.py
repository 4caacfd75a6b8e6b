"""Changes as JSON: who changed what, when, and which endpoints and services that touches."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.model import Change
from exporter.unseen import unseen_changes
from exporter.web.plain import Json, hidden, rfc3339, where
from exporter.world import Estate, World, newest_first

# The most that are shown of everything, and of one endpoint or service.
MOST, OF_ONE = 1000, 20


def changes(world: World) -> list[Json]:
    """Return the changes of all accounts and Regions, the newest first; so many at most."""
    touched: dict[tuple[str, str], dict[str, list[str]]] = {}
    for estate in world.estates:
        kinds = {
            **dict.fromkeys((e.id for e in estate.endpoints()), "endpoints"),
            **dict.fromkeys((s.id for s in estate.services()), "services"),
        }
        for subject, found in estate.touched.items():
            for change in found:
                by_kind = touched.setdefault(_key(change), {"endpoints": [], "services": []})
                by_kind[kinds[subject]].append(subject)
    every = newest_first(change for estate in world.estates for change in estate.changes)
    nothing: dict[str, list[str]] = {"endpoints": [], "services": []}
    return [
        {**_change(change), **{k: sorted(v) for k, v in touched.get(_key(change), nothing).items()}}
        for change in every[:MOST]
    ]


def of_one(estate: Estate, subject: str) -> list[Json]:
    """Return the last changes that touch an endpoint or a service, wherever they were made."""
    return [_change(change) for change in estate.touched.get(subject, ())[:OF_ONE]]


def blind(world: World) -> list[Json]:
    """Return where changes could not be read, or not all of them: there may be more."""
    return [*hidden(unseen_changes(world)), *_failed(world), *_unread(world.estates)]


def _failed(world: World) -> Iterable[Json]:
    problems = {e.scope: e.recorded.problem for e in world.estates}
    for status in world.collectors:
        if status.collector == "changes" and status.problems:
            problem = problems.get(status.scope)
            last = status.last_success
            yield {
                **where(status.scope),
                "part": "changes",
                "unavailable": "; ".join(status.problems.values()),
                "outcome": problem.outcome if problem else "error",
                "last_seen": None if last is None else rfc3339(last),
            }


def _unread(estates: Iterable[Estate]) -> Iterable[Json]:
    for estate in estates:
        for begin, end in estate.recorded.unread:
            yield {
                **where(estate.scope),
                "part": "changes",
                "unavailable": f"not read yet: {rfc3339(begin)} to {rfc3339(end)}",
                "outcome": "ok",
                "last_seen": None,
            }


def _key(change: Change) -> tuple[str, str]:
    return change.scope.account, change.id


def _change(change: Change) -> dict[str, Json]:
    return {
        **where(change.scope),
        "id": change.id,
        "at": rfc3339(change.at),
        "event": change.event,
        "source": change.source,
        "actor": change.actor,
        "address": change.address,
        "outcome": change.outcome,
        "error": change.error or None,
        "what": change.what,
        "resources": sorted(change.resources),
    }
