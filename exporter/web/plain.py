"""The model's nouns as JSON has them: what could not be seen says so and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, TypeVar

from exporter.model import Inventory, Known, Part, Scope, Unavailable
from exporter.unseen import Unseen

Json = Any
T = TypeVar("T")

# Fields that hold moments, in seconds since the epoch.
_MOMENTS = frozenset(["created"])


def rfc3339(seconds: float) -> str:
    """Return a moment as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def plain(value: Any) -> Json:
    """Return a noun as JSON: by the names of its fields, addresses and networks as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _moment(getattr(value, f.name))
            if f.name in _MOMENTS
            else plain(getattr(value, f.name))
            for f in fields(value)
            if f.name != "scope"
        }
    if isinstance(value, IPv4Address | IPv6Address | IPv4Network | IPv6Network):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def part(found: Part[T] | None, show: Callable[[T], Json] = plain) -> Json:
    """Return what is known, by `show`; else why not, and since when it is not."""
    if isinstance(found, Known):
        return show(found.value)
    return unavailable(found)


def covered(inventory: Inventory, name: str, ids: Iterable[str], shown: Json) -> Json:
    """Return what is shown of a listing; why not, where it was listed before these ids were there.

    A listing that is itself unavailable says so in its own words.
    """
    if inventory.covers(name, ids) or (isinstance(shown, dict) and "unavailable" in shown):
        return shown
    return unavailable(Unavailable("not listed since this is there"))


def unavailable(found: Unavailable[Any] | None) -> Json:
    """Return why something could not be seen, and when it last was."""
    if found is None:
        return {"unavailable": "not listed yet", "outcome": "error", "last_seen": None}
    return {
        "unavailable": found.reason,
        "outcome": found.outcome,
        "last_seen": None if found.last is None else rfc3339(found.last.as_of),
    }


def hidden(found: Iterable[Unseen]) -> list[Json]:
    """Return what is out of sight, where and why; what is there may be in it."""
    return [
        {
            **where(one.scope),
            "part": one.part,
            "unavailable": one.reason,
            "outcome": one.outcome,
            "last_seen": None if one.last_seen is None else rfc3339(one.last_seen),
        }
        for one in found
    ]


def where(scope: Scope) -> dict[str, str]:
    """Return the two fields that say where something is."""
    return {"account": scope.account, "region": scope.region}


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
