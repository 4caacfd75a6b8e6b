"""What was seen and what could not be: the difference between nothing there and not looked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

T = TypeVar("T")

Outcome: TypeAlias = Literal["ok", "throttled", "denied", "error"]


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """One account in one Region: the unit that is listed, fails and recovers by itself."""

    account: str
    region: str


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """Something that was seen, and when (seconds since the epoch)."""

    value: T
    as_of: float


@dataclass(frozen=True, slots=True)
class Unavailable(Generic[T]):
    """Something that could not be seen, why, and what was last seen of it, if ever."""

    reason: str
    outcome: Outcome = "error"
    last: Known[T] | None = None


Part: TypeAlias = Known[T] | Unavailable[T]
# What one call lists, by id; and what takes a call for each thing, by the thing's id.
Listing: TypeAlias = Part[Mapping[str, T]]
Details: TypeAlias = Mapping[str, Part[T]]


def last_known(part: Part[T]) -> T | None:
    """Return what was last seen, however old; None when nothing ever was."""
    known = part if isinstance(part, Known) else part.last
    return None if known is None else known.value


def carry(old: Part[T] | None, new: Part[T]) -> Part[T]:
    """Return `new`; when it failed, with what `old` had last seen."""
    if isinstance(new, Known) or old is None:
        return new
    return Unavailable(new.reason, new.outcome, old if isinstance(old, Known) else old.last)


def settle(part: Part[T], now: float, keep: float) -> Part[T]:
    """Return what may be judged at `now`: a sight at most `keep` seconds old, or Unavailable.

    A failed pass does not turn a verdict unknown at once: what was last seen stands until it is
    `keep` seconds old. A sight that nobody has renewed for that long no longer stands either.
    """
    known = part if isinstance(part, Known) else part.last
    if known is not None and now - known.as_of <= keep:
        return known
    if isinstance(part, Known):
        return Unavailable(f"last seen {now - part.as_of:.0f} s ago", "error", part)
    return part
